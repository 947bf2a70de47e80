// TCP connections with a deadline. All descriptors are born CLOEXEC.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/base/unique_fd.h"

namespace bulkhead {

// A connected, blocking stream socket, without Nagle's delay. `host` is a name or an address; each of its
// addresses is tried in the resolver's order. `opened` is told of each socket before it connects, so that
// another thread can end the wait with shutdown(2); it may be empty. kUnavailable, kDeadlineExceeded. Looking up
// a name takes as long as the system's resolver lets it, whatever `deadline` says.
Result<UniqueFd> ConnectTcp(const std::string& host, uint16_t port, SteadyTime deadline,
                            const std::function<void(int)>& opened = {});

// Lets the kernel find out that the peer is gone (cut off, or its machine down) within about half a minute.
void SetKeepAlive(int fd);

}  // namespace bulkhead

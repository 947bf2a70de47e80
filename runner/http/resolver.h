// Names to addresses, within a deadline.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/http/address.h"

namespace bulkhead::http {

// All addresses of a name, without repetition. Thread-safe. Returns soon after `stopped` becomes true. kUnavailable,
// kDeadlineExceeded, kCancelled, kResourceExhausted.
using Resolver = std::function<Result<std::vector<IpAddress>>(const std::string& host, SteadyTime deadline,
                                                              const std::atomic<bool>& stopped)>;

// getaddrinfo(3), which knows no deadline and can't be cut short: it runs in a thread that is left to itself when
// its answer comes too late. At most 32 run at once.
Resolver SystemResolver();

}  // namespace bulkhead::http

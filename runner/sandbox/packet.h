// One message over an AF_UNIX socket, with descriptors (unix(7), SCM_RIGHTS). Internal to sandbox/, and linked into
// bulkhead-init. No allocation; thread-safe as the socket is.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>

#include "runner/base/unique_fd.h"

namespace bulkhead::sandbox {

// As many descriptors may go with one message.
inline constexpr size_t kMostPassed = 8;

// False when not all of it was taken; errno tells why. The descriptors stay the caller's.
bool SendPacket(int socket, const void* bytes, size_t size, std::span<const int> passed = {});
bool SendPacket(int socket, const void* bytes, size_t size, const UniqueFd& passed);

// As recvmsg(2) with `flags`, but that it goes on after EINTR. What came along is close-on-exec: the first `*count` of
// `passed`, which are the caller's to close.
ssize_t ReceivePacket(int socket, void* bytes, size_t size, int flags, std::span<int> passed, size_t* count);
// The same for one descriptor at most.
ssize_t ReceivePacket(int socket, void* bytes, size_t size, int flags, UniqueFd& passed);

}  // namespace bulkhead::sandbox

#include "runner/sandbox/packet.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace bulkhead::sandbox {

bool SendPacket(int socket, const void* bytes, size_t size, std::span<const int> passed) {
  iovec part = {const_cast<void*>(bytes), size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMostPassed * sizeof(int))] = {};
  if (passed.size() > kMostPassed) {
    errno = EINVAL;
    return false;
  }
  if (!passed.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(passed.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(passed.size_bytes());
    std::memcpy(CMSG_DATA(header), passed.data(), passed.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

bool SendPacket(int socket, const void* bytes, size_t size, const UniqueFd& passed) {
  const int fd = passed.get();
  return SendPacket(socket, bytes, size, std::span(&fd, passed.valid() ? 1 : 0));
}

ssize_t ReceivePacket(int socket, void* bytes, size_t size, int flags, std::span<int> passed, size_t* count) {
  iovec part = {bytes, size};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostPassed * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t received = 0;
  do {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(std::min(kMostPassed, passed.size()) * sizeof(int));
    received = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  *count = 0;
  const cmsghdr* const header = received >= 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return received;
  *count = std::min(passed.size(), (header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  std::memcpy(passed.data(), CMSG_DATA(header), *count * sizeof(int));
  return received;
}

ssize_t ReceivePacket(int socket, void* bytes, size_t size, int flags, UniqueFd& passed) {
  std::array<int, 1> fds = {-1};
  size_t count = 0;
  const ssize_t received = ReceivePacket(socket, bytes, size, flags, fds, &count);
  if (count > 0) passed.Reset(fds[0]);
  return received;
}

}  // namespace bulkhead::sandbox

#include "runner/base/net.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace bulkhead {

namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

Status WaitConnected(int fd, SteadyTime deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Error(Code::kDeadlineExceeded, "no connection in time");
    pollfd waiting = {fd, POLLOUT, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<int64_t>(left.count(), 60'000)));
    if (ready < 0 && errno != EINTR) return ErrnoError("poll", errno);
    if (ready <= 0) continue;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return ErrnoError("getsockopt", errno);
    if (error != 0) return Error(Code::kUnavailable, ErrnoError("connect", error).message());
    if ((waiting.revents & POLLHUP) != 0) return Error(Code::kUnavailable, "connect: cut short");
    return OkStatus();
  }
}

Result<UniqueFd> ConnectOne(const addrinfo& address, SteadyTime deadline, const std::function<void(int)>& opened) {
  UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoError("socket", errno);
  if (opened) opened(fd.get());
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return Error(Code::kUnavailable, ErrnoError("connect", errno).message());
    BULKHEAD_TRY(WaitConnected(fd.get(), deadline));
  }
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) return ErrnoError("fcntl", errno);
  const int one = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

}  // namespace

Result<UniqueFd> ConnectTcp(const std::string& host, uint16_t port, SteadyTime deadline,
                            const std::function<void(int)>& opened) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw);
  const std::unique_ptr<addrinfo, FreeAddresses> addresses(raw);
  if (failed != 0) return Error(Code::kUnavailable, "looking up " + host + ": " + ::gai_strerror(failed));
  Error last(Code::kUnavailable, host + " has no address");
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    auto connected = ConnectOne(*address, deadline, opened);
    if (connected.ok()) return connected;
    last = connected.error();
  }
  return last;
}

void SetKeepAlive(int fd) {
  const int one = 1;
  const int idle_seconds = 10;
  const int interval_seconds = 5;
  const int probes = 4;
  const int unanswered_ms = 30'000;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
}

}  // namespace bulkhead

#include "runner/rpc/stream.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace bulkhead::rpc {

namespace {

class OverTls : public Stream {
 public:
  explicit OverTls(certs::TlsStream stream) : stream_(std::move(stream)) {}
  Status Write(std::string_view bytes, SteadyTime deadline) override { return stream_.Write(bytes, deadline); }
  Result<size_t> Read(char* buffer, size_t size, SteadyTime deadline) override {
    return stream_.Read(buffer, size, deadline);
  }
  bool HasPending() override { return stream_.HasPending(); }
  int fd() const override { return stream_.fd(); }

 private:
  certs::TlsStream stream_;
};

class Plain : public Stream {
 public:
  explicit Plain(UniqueFd fd) : fd_(std::move(fd)) {}

  Status Write(std::string_view bytes, SteadyTime deadline) override {
    while (!bytes.empty()) {
      BULKHEAD_TRY(Wait(POLLOUT, deadline));
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return Broken();
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return OkStatus();
  }

  Result<size_t> Read(char* buffer, size_t size, SteadyTime deadline) override {
    for (;;) {
      BULKHEAD_TRY(Wait(POLLIN, deadline));
      const ssize_t got = ::recv(fd_.get(), buffer, size, MSG_DONTWAIT);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EAGAIN && errno != EINTR) return Broken();
    }
  }

  bool HasPending() override {
    pollfd waiting = {fd_.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) != 0;
  }
  int fd() const override { return fd_.get(); }

 private:
  static Error Broken() { return Error(Code::kUnavailable, ErrnoError("connection", errno).message()); }

  Status Wait(short events, SteadyTime deadline) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return Error(Code::kDeadlineExceeded, "timed out");
      pollfd waiting = {fd_.get(), events, 0};
      const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<int64_t>(left.count(), 60'000)));
      if (ready > 0) return OkStatus();
      if (ready < 0 && errno != EINTR) return ErrnoError("poll", errno);
    }
  }

  UniqueFd fd_;
};

bool IsLoopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto* const v4 = reinterpret_cast<const sockaddr_in*>(&address);
    return (ntohl(v4->sin_addr.s_addr) >> 24U) == IN_LOOPBACKNET;
  }
  if (address.ss_family != AF_INET6) return false;
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == IN_LOOPBACKNET);
}

}  // namespace

Result<std::unique_ptr<Stream>> OpenTls(const certs::TlsContext& context, UniqueFd fd, SteadyTime deadline) {
  BULKHEAD_ASSIGN(certs::TlsStream stream, certs::TlsStream::Connect(context, std::move(fd), deadline));
  return std::unique_ptr<Stream>(std::make_unique<OverTls>(std::move(stream)));
}

Result<std::unique_ptr<Stream>> OpenPlainLoopback(UniqueFd fd) {
  sockaddr_storage local = {};
  sockaddr_storage peer = {};
  socklen_t local_size = sizeof local;
  socklen_t peer_size = sizeof peer;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &local_size) != 0 ||
      ::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) {
    return Error(Code::kUnavailable, ErrnoError("socket", errno).message());
  }
  if (!IsLoopback(local) || !IsLoopback(peer))
    return Error(Code::kPermissionDenied, "plain HTTP is spoken on loopback only, and this connection leaves it");
  return OpenPlain(std::move(fd));
}

std::unique_ptr<Stream> OpenPlain(UniqueFd fd) {
  return std::make_unique<Plain>(std::move(fd));
}

}  // namespace bulkhead::rpc

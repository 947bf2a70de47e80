#include "runner/gateway/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "runner/base/text.h"

namespace bulkhead::gateway {

namespace {

constexpr int kBacklog = 128;

Error BadAddress(std::string_view text) {
  return Error(Code::kInvalidInput, "\"" + EscapeForTerminal(text) +
                                        "\" is no address to listen on; write 127.0.0.1:4355, [::1]:4355 or :4355");
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  unsigned port = 0;
  if (text.empty() || text.size() > 5 ||
      !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  for (const char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  if (port > UINT16_MAX) return std::nullopt;
  return static_cast<uint16_t>(port);
}

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress ToSocketAddress(const ListenAddress& address) {
  SocketAddress out;
  if (address.ipv6) {
    auto* const v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port);
    ::inet_pton(AF_INET6, address.host.c_str(), &v6->sin6_addr);
    out.size = sizeof *v6;
  } else {
    auto* const v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    ::inet_pton(AF_INET, address.host.c_str(), &v4->sin_addr);
    out.size = sizeof *v4;
  }
  return out;
}

}  // namespace

std::string ListenAddress::ToString() const {
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<ListenAddress> ParseListenAddress(std::string_view text) {
  ListenAddress address;
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text);
  std::string_view host = text.substr(0, colon);
  const auto port = ParsePort(text.substr(colon + 1));
  if (!port.has_value()) return BadAddress(text);
  address.port = *port;
  if (host.empty()) host = "0.0.0.0";
  if (host == "localhost") host = "127.0.0.1";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    address.ipv6 = true;
    host = host.substr(1, host.size() - 2);
  }
  address.host = std::string(host);
  if (address.ipv6) {
    in6_addr parsed = {};
    if (::inet_pton(AF_INET6, address.host.c_str(), &parsed) != 1) return BadAddress(text);
    address.loopback = IN6_IS_ADDR_LOOPBACK(&parsed);
  } else {
    in_addr parsed = {};
    if (::inet_pton(AF_INET, address.host.c_str(), &parsed) != 1) return BadAddress(text);
    address.loopback = (ntohl(parsed.s_addr) >> 24U) == 127;
  }
  return address;
}

Result<UniqueFd> Listen(ListenAddress& address) {
  UniqueFd fd(::socket(address.ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoError("socket", errno);
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (address.ipv6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  SocketAddress wanted = ToSocketAddress(address);
  if (::bind(fd.get(), wanted.get(), wanted.size) != 0 || ::listen(fd.get(), kBacklog) != 0)
    return ErrnoError("listening on " + address.ToString(), errno);
  SocketAddress got;
  got.size = sizeof got.storage;
  if (::getsockname(fd.get(), got.get(), &got.size) != 0) return ErrnoError("getsockname", errno);
  address.port = ntohs(address.ipv6 ? reinterpret_cast<sockaddr_in6*>(&got.storage)->sin6_port
                                    : reinterpret_cast<sockaddr_in*>(&got.storage)->sin_port);
  return fd;
}

}  // namespace bulkhead::gateway

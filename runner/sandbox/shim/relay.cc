#include "runner/sandbox/shim/relay.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "certs/tls_internal.h"

namespace bulkhead::sandbox::shim {

namespace {

constexpr size_t kBuffer = 16U << 10U;  // one TLS record

// Bytes on their way in one direction.
struct Buffer {
  std::array<char, kBuffer> bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled before it is read
  size_t begin = 0;
  size_t end = 0;
  bool empty() const { return begin == end; }
};

bool WouldBlock() {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

}  // namespace

struct Relay::Connection {
  UniqueFd client;
  UniqueFd plugin;
  std::shared_ptr<const certs::TlsContext::State> context;  // may be another one's by now; `ssl` borrows it
  certs::SslPtr ssl;
  Buffer to_plugin, to_client;
  bool verified = false;
  bool connecting = false;    // a non-blocking connect is under way
  bool plugin_ended = false;  // the plugin's stream ended cleanly
  bool ended = false;
  uint32_t client_events = 0;  // what epoll watches for on either side; 0: not yet
  uint32_t plugin_events = 0;
};

Relay::Relay(int epoll, uint16_t port) : epoll_(epoll), port_(port) {}
Relay::~Relay() = default;

void Relay::Add(UniqueFd client) {
  if (context_ == nullptr || (connections_.size() >= kMostConnections && !MakeRoom())) return;
  auto connection = std::make_unique<Connection>();
  ::fcntl(client.get(), F_SETFL, O_NONBLOCK);
  connection->context = context_->state();
  connection->ssl = certs::NewConnection(*connection->context);
  if (connection->ssl == nullptr || SSL_set_fd(connection->ssl.get(), client.get()) != 1) return;
  connection->client = std::move(client);
  if (!WatchClient(*connection)) return;
  connections_.push_back(std::move(connection));
}

void Relay::OnEvent(uint64_t token) {
  auto* const connection = reinterpret_cast<Connection*>(token & ~uint64_t{1});
  // It may have ended earlier in this round; it is freed only in Sweep.
  if (!connection->ended) Pump(*connection, (token & 1U) != 0);
}

void Relay::Sweep() {
  if (!some_ended_) return;
  std::erase_if(connections_, [](const auto& connection) { return connection->ended; });
  some_ended_ = false;
}

// What can have changed: the side that the event is of can be read from, or what waits for it can be written.
void Relay::Pump(Connection& connection, bool plugin_side) {
  const auto work = [&] {
    if (!connection.verified && !Handshake(connection)) return false;
    if (connection.verified) {
      const bool from_plugin = plugin_side || !connection.to_client.empty();
      const bool from_client = !plugin_side || !connection.to_plugin.empty();
      if (from_client && !ToPlugin(connection)) return false;
      if (from_plugin && !ToClient(connection)) return false;
    }
    return WatchClient(connection) && (!connection.plugin.valid() || WatchPlugin(connection));
  };
  if (!work()) End(connection);
}

void Relay::End(Connection& connection) {
  ERR_clear_error();
  connection.ended = true;
  some_ended_ = true;
  // The numbers are free for others from here on; what points here is freed in Sweep.
  connection.ssl.reset();
  connection.client.Reset();
  connection.plugin.Reset();
}

// Ends the oldest connection that has not proved who it is; false when there is none.
bool Relay::MakeRoom() {
  for (const auto& connection : connections_) {
    if (connection->ended || connection->verified) continue;
    End(*connection);
    return true;
  }
  return false;
}

// False: the connection is over. `verified` is set once the client has proved who it is.
bool Relay::Handshake(Connection& connection) {
  ERR_clear_error();
  const int result = SSL_do_handshake(connection.ssl.get());
  if (result != 1) {
    const int reason = SSL_get_error(connection.ssl.get(), result);
    return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
  }
  // The callback refused every other client; this only insists.
  if (SSL_get_verify_result(connection.ssl.get()) != X509_V_OK ||
      SSL_get0_peer_certificate(connection.ssl.get()) == nullptr)
    return false;
  connection.verified = true;
  return ConnectPlugin(connection);
}

bool Relay::ConnectPlugin(Connection& connection) {
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port_);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port_);
  v6.sin6_addr = in6addr_loopback;
  const auto attempt = [&](int family, const void* address, socklen_t size) {
    connection.plugin.Reset(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!connection.plugin.valid()) return false;
    const int on = 1;
    ::setsockopt(connection.plugin.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(connection.plugin.get(), static_cast<const sockaddr*>(address), size) == 0) return true;
    connection.connecting = errno == EINPROGRESS;
    return connection.connecting;
  };
  // Most plugins listen on all addresses; a few on ::1 only.
  if (!attempt(AF_INET, &v4, sizeof v4) && !attempt(AF_INET6, &v6, sizeof v6)) return false;
  return true;
}

// Readable while there is room for what is read, writable only while something waits to be written: a Unix socket
// would report that it is writable each time the agent takes an answer.
bool Relay::WatchClient(Connection& connection) const {
  const bool writes = SSL_want_write(connection.ssl.get()) != 0 || !connection.to_client.empty();
  const uint32_t events = (connection.to_plugin.empty() ? EPOLLIN : 0U) | (writes ? EPOLLOUT : 0U);
  return Watch(connection.client.get(), events, reinterpret_cast<uint64_t>(&connection), connection.client_events);
}

bool Relay::WatchPlugin(Connection& connection) const {
  const bool reads = connection.to_client.empty() && !connection.plugin_ended;
  const bool writes = connection.connecting || !connection.to_plugin.empty();
  const uint32_t events = (reads ? EPOLLIN : 0U) | (writes ? EPOLLOUT : 0U);
  return Watch(connection.plugin.get(), events, reinterpret_cast<uint64_t>(&connection) | 1U, connection.plugin_events);
}

bool Relay::Watch(int fd, uint32_t events, uint64_t token, uint32_t& watched) const {
  // EPOLLHUP and EPOLLERR are always reported: where nothing can be done about them now, once is enough.
  if (events == 0) events = EPOLLET;
  if (events == watched) return true;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = token;
  const int operation = watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  watched = events;
  return ::epoll_ctl(epoll_, operation, fd, &event) == 0;
}

// Until there is nothing to read, or what was read can't be written yet. False: the connection is over.
bool Relay::ToPlugin(Connection& connection) {
  Buffer& buffer = connection.to_plugin;
  do {
    if (buffer.empty()) {
      ERR_clear_error();
      const int count = SSL_read(connection.ssl.get(), buffer.bytes.data(), static_cast<int>(buffer.bytes.size()));
      if (count <= 0) {
        const int reason = SSL_get_error(connection.ssl.get(), count);
        return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
      }
      buffer.begin = 0;
      buffer.end = static_cast<size_t>(count);
    }
    const ssize_t count =
        ::send(connection.plugin.get(), buffer.bytes.data() + buffer.begin, buffer.end - buffer.begin, MSG_NOSIGNAL);
    if (count < 0) {
      if (WouldBlock() || errno == EINTR || errno == ENOTCONN) return true;
      // It closed its side, but may have answered before: what it said is still read.
      if (errno != EPIPE && errno != ECONNRESET) return false;
      buffer.begin = buffer.end;
      return !connection.plugin_ended;
    }
    connection.connecting = false;
    buffer.begin += static_cast<size_t>(count);
    // The rest is reported by epoll; only what OpenSSL has read ahead is not.
  } while (!buffer.empty() || SSL_has_pending(connection.ssl.get()) == 1);
  return true;
}

bool Relay::ToClient(Connection& connection) {
  Buffer& buffer = connection.to_client;
  if (buffer.empty() && !connection.plugin_ended) {
    const ssize_t count = ::recv(connection.plugin.get(), buffer.bytes.data(), buffer.bytes.size(), 0);
    if (count < 0) return WouldBlock() || errno == EINTR || (connection.connecting && errno == ENOTCONN);
    connection.plugin_ended = count == 0;
    buffer.begin = 0;
    buffer.end = static_cast<size_t>(count);
  }
  while (!buffer.empty()) {
    ERR_clear_error();
    const int count = SSL_write(connection.ssl.get(), buffer.bytes.data() + buffer.begin,
                                static_cast<int>(buffer.end - buffer.begin));
    if (count <= 0) {
      const int reason = SSL_get_error(connection.ssl.get(), count);
      return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
    }
    buffer.begin += static_cast<size_t>(count);
  }
  if (!connection.plugin_ended) return true;
  SSL_shutdown(connection.ssl.get());
  ::shutdown(connection.client.get(), SHUT_WR);
  return false;
}

}  // namespace bulkhead::sandbox::shim

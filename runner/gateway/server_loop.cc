#include "runner/gateway/server_loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace bulkhead::gateway {

namespace {

using Io = Connection::Io;

constexpr uint64_t kMailboxId = 0;
constexpr uint64_t kFirstConnection = 1U << 10U;  // below: listeners
constexpr int kAcceptsAtOnce = 64;
constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // when the process is out of descriptors

Peer PeerOf(const sockaddr_storage& storage) {
  Peer peer;
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (storage.ss_family == AF_INET) {
    const auto* const v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    peer.address = std::string(text.data()) + ":" + std::to_string(ntohs(v4->sin_port));
    peer.loopback = (ntohl(v4->sin_addr.s_addr) >> 24U) == 127;
  } else if (storage.ss_family == AF_INET6) {
    const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    peer.address = "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6->sin6_port));
    peer.loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
  }
  return peer;
}

}  // namespace

HttpServer::Loop::Loop(std::vector<UniqueFd> listeners, ServerOptions options, HttpHandler& handler, Metrics& metrics,
                       UniqueFd epoll, UniqueFd event)
    : options_(std::move(options)),
      handler_(handler),
      metrics_(metrics),
      listeners_(std::move(listeners)),
      epoll_(std::move(epoll)),
      event_(std::move(event)),
      mailbox_(std::make_shared<Mailbox>(event_.get())),
      next_id_(kFirstConnection),
      pool_(options_.limits.requests) {}

Status HttpServer::Loop::Watch() {
  BULKHEAD_TRY(Control(EPOLL_CTL_ADD, event_.get(), EPOLLIN, kMailboxId));
  for (size_t i = 0; i < listeners_.size(); ++i)
    BULKHEAD_TRY(Control(EPOLL_CTL_ADD, listeners_[i].get(), EPOLLIN, i + 1));
  return OkStatus();
}

void HttpServer::Loop::Run() {
  std::array<epoll_event, 64> events = {};
  while (!stopping_.load()) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), Timeout());
    for (int i = 0; i < count; ++i) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id == kMailboxId) {
        TakeMail();
      } else if (id < kFirstConnection) {
        Accept(static_cast<size_t>(id - 1));
      } else if (const auto found = connections_.find(id); found != connections_.end()) {
        OnEvent(*found->second, events[static_cast<size_t>(i)].events);
      }
    }
    Resume();
    Expire();
    if (draining_.load()) StopTaking();
  }
  mailbox_->Close();
  for (auto& [id, connection] : connections_) {
    if (connection->reply != nullptr) connection->reply->Abandon();
  }
  connections_.clear();
}

bool HttpServer::Loop::Drain(SteadyTime deadline) {
  draining_ = true;
  mailbox_->Wake();
  std::unique_lock lock(mutex_);
  return quiet_.wait_until(lock, deadline, [&] { return is_quiet_; });
}

void HttpServer::Loop::Stop() {
  stopping_ = true;
  mailbox_->Wake();
}

Status HttpServer::Loop::Control(int operation, int fd, uint32_t events, uint64_t id) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) return ErrnoError("epoll_ctl", errno);
  return OkStatus();
}

void HttpServer::Loop::Count(std::string_view reason) {
  metrics_.Add("bulkhead_http_refused_total",
               MetricLabel("server", options_.name) + "," + MetricLabel("reason", reason));
}

int HttpServer::Loop::Timeout() const {
  SteadyTime next = Now() + std::chrono::hours(1);
  if (accept_pause_.has_value()) next = std::min(next, *accept_pause_);
  for (const auto& [id, connection] : connections_) {
    if (connection->again) return 0;
    next = std::min(next, connection->deadline);
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

// --- connections come and go ------------------------------------------------------------------------

void HttpServer::Loop::Accept(size_t listener) {
  for (int i = 0; i < kAcceptsAtOnce && !draining_.load(); ++i) {
    sockaddr_storage storage = {};
    socklen_t size = sizeof storage;
    UniqueFd fd(::accept4(listeners_[listener].get(), reinterpret_cast<sockaddr*>(&storage), &size,
                          SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) PauseAccepting();
      return;
    }
    metrics_.Add("bulkhead_http_connections_total", MetricLabel("server", options_.name));
    if (connections_.size() >= limits().connections && !MakeRoom()) {
      Count("too-many-connections");
      continue;
    }
    Add(std::move(fd), PeerOf(storage));
  }
}

void HttpServer::Loop::PauseAccepting() {
  Count("out-of-descriptors");
  accept_pause_ = Now() + kAcceptPause;
  for (size_t i = 0; i < listeners_.size(); ++i) (void)Control(EPOLL_CTL_MOD, listeners_[i].get(), 0, i + 1);
}

bool HttpServer::Loop::MakeRoom() {
  Connection* oldest = nullptr;
  for (const auto& [id, connection] : connections_) {
    const bool waits = connection->phase == Phase::kHandshake || connection->phase == Phase::kLingering ||
                       (connection->phase == Phase::kReading && !connection->admitted);
    if (waits && (oldest == nullptr || connection->since < oldest->since)) oldest = connection.get();
  }
  if (oldest == nullptr) return false;
  Count("too-many-connections");
  Close(*oldest);
  return true;
}

void HttpServer::Loop::Add(UniqueFd fd, Peer peer) {
  const int yes = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  auto connection = std::make_unique<Connection>();
  connection->id = next_id_++;
  connection->peer = std::move(peer);
  connection->since = Now();
  if (options_.tls) {
    const std::optional<certs::ServerContext> context = options_.tls();
    if (!context.has_value()) return Count("no-certificate");
    auto stream = certs::ServerStream::Create(*context, fd.get());
    if (!stream.ok()) return Count("handshake");
    connection->tls = std::move(*stream);
  }
  connection->fd = std::move(fd);
  if (!Control(EPOLL_CTL_ADD, connection->fd.get(), EPOLLIN, connection->id).ok()) return;
  connection->events = EPOLLIN;
  Connection& added = *connection;
  connections_.emplace(added.id, std::move(connection));
  if (added.tls.has_value()) {
    added.phase = Phase::kHandshake;
    added.deadline = Now() + limits().handshake;
  } else {
    AwaitRequest(added, limits().head);
  }
}

void HttpServer::Loop::Close(Connection& connection) {
  if (connection.reply != nullptr) connection.reply->Abandon();
  reserved_ -= connection.reserved;
  connections_.erase(connection.id);
}

void HttpServer::Loop::Interest(Connection& connection, uint32_t events) {
  if (connection.events == events) return;
  connection.events = events;
  (void)Control(EPOLL_CTL_MOD, connection.fd.get(), events, connection.id);
}

void HttpServer::Loop::AwaitRequest(Connection& connection, std::chrono::nanoseconds patience) {
  connection.phase = Phase::kReading;
  connection.parser = std::make_unique<rpc::RequestParser>(limits().request);
  connection.admitted = false;
  connection.since = Now();
  connection.deadline = connection.since + patience;
  connection.again = !connection.input.empty() || connection.HasPending();
  Interest(connection, EPOLLIN);
}

// --- events -----------------------------------------------------------------------------------------

void HttpServer::Loop::OnEvent(Connection& connection, uint32_t events) {
  if (connection.phase == Phase::kHandling) return OnEventWhileHandling(connection, events);
  Advance(connection);
}

void HttpServer::Loop::OnEventWhileHandling(Connection& connection, uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return Close(connection);
  if ((events & EPOLLRDHUP) == 0) return;
  // It may still read: it gets the answer, but nobody knows whether it took it.
  connection.half_closed = true;
  connection.reply->Abandon();
  Interest(connection, 0);
}

void HttpServer::Loop::Advance(Connection& connection) {
  connection.again = false;
  switch (connection.phase) {
    case Phase::kHandshake: return Handshake(connection);
    case Phase::kReading: return ReadRequest(connection);
    case Phase::kSending: return SendOn(connection);
    case Phase::kLingering: return ThrowAway(connection);
    case Phase::kHandling: return;
  }
}

void HttpServer::Loop::Resume() {
  std::vector<uint64_t> ready;
  for (const auto& [id, connection] : connections_) {
    if (connection->again) ready.push_back(id);
  }
  for (const uint64_t id : ready) {
    if (const auto found = connections_.find(id); found != connections_.end()) Advance(*found->second);
  }
}

void HttpServer::Loop::Expire() {
  const SteadyTime now = Now();
  if (accept_pause_.has_value() && now >= *accept_pause_) {
    accept_pause_.reset();
    for (size_t i = 0; i < listeners_.size(); ++i) (void)Control(EPOLL_CTL_MOD, listeners_[i].get(), EPOLLIN, i + 1);
  }
  std::vector<uint64_t> late;
  for (const auto& [id, connection] : connections_) {
    if (now >= connection->deadline) late.push_back(id);
  }
  for (const uint64_t id : late) {
    if (const auto found = connections_.find(id); found != connections_.end()) TooLate(*found->second);
  }
}

void HttpServer::Loop::TooLate(Connection& connection) {
  switch (connection.phase) {
    case Phase::kHandshake: Count("handshake"); return Close(connection);
    case Phase::kReading:
      if (!connection.parser->started()) return Close(connection);
      Count("slow-request");
      return Answer(connection, ErrorResponse(408, "the request did not come in time"), /*keep=*/false);
    case Phase::kHandling:
      connection.reply->Abandon();
      return Answer(connection, ErrorResponse(503, "the plugin has not answered yet; ask again"), /*keep=*/true);
    case Phase::kSending: Count("slow-reader"); return Close(connection);
    case Phase::kLingering: return Close(connection);
  }
}

void HttpServer::Loop::Handshake(Connection& connection) {
  switch (connection.tls->Handshake()) {
    case Io::kDone:
      connection.peer.uri = connection.tls->peer_uri();
      AwaitRequest(connection, limits().head);
      return ReadRequest(connection);
    case Io::kWantRead: return Interest(connection, EPOLLIN);
    case Io::kWantWrite: return Interest(connection, EPOLLOUT);
    case Io::kEnd:
    case Io::kFailed: Count("handshake"); return Close(connection);
  }
}

// --- the end ----------------------------------------------------------------------------------------

void HttpServer::Loop::StopTaking() {
  listeners_.clear();
  std::vector<uint64_t> idle;
  for (const auto& [id, connection] : connections_) {
    const bool waits = connection->phase == Phase::kHandshake || connection->phase == Phase::kLingering ||
                       (connection->phase == Phase::kReading && !connection->parser->started());
    if (waits && connection->input.empty()) idle.push_back(id);
  }
  for (const uint64_t id : idle) Close(*connections_.at(id));
  if (!connections_.empty() || handling_.load() > 0) return;
  const std::lock_guard lock(mutex_);
  is_quiet_ = true;
  quiet_.notify_all();
}

}  // namespace bulkhead::gateway

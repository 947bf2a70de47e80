#include "runner/gateway/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "runner/gateway/connection.h"
#include "runner/gateway/worker_pool.h"

namespace bulkhead::gateway {

namespace {

using Io = Connection::Io;

constexpr uint64_t kMailboxId = 0;
constexpr uint64_t kFirstConnection = 1U << 10U;  // below: listeners
constexpr size_t kReadSize = 16U << 10U;
constexpr int kReadsAtOnce = 16;  // of one connection, before the others get their turn
constexpr int kAcceptsAtOnce = 64;
constexpr size_t kMostThrownAway = 1U << 20U;
constexpr auto kLinger = std::chrono::seconds(2);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // when the process is out of descriptors

SteadyTime Now() {
  return std::chrono::steady_clock::now();
}

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

// All but Drain and Stop is of the server's own thread.
class HttpServer::Loop {
 public:
  Loop(std::vector<UniqueFd> listeners, ServerOptions options, HttpHandler& handler, Metrics& metrics, UniqueFd epoll,
       UniqueFd event)
      : options_(std::move(options)),
        handler_(handler),
        metrics_(metrics),
        listeners_(std::move(listeners)),
        epoll_(std::move(epoll)),
        event_(std::move(event)),
        mailbox_(std::make_shared<Mailbox>(event_.get())),
        pool_(options_.limits.requests) {}

  Status Watch() {
    BULKHEAD_TRY(Control(EPOLL_CTL_ADD, event_.get(), EPOLLIN, kMailboxId));
    for (size_t i = 0; i < listeners_.size(); ++i)
      BULKHEAD_TRY(Control(EPOLL_CTL_ADD, listeners_[i].get(), EPOLLIN, i + 1));
    return OkStatus();
  }

  void Run() {
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

  bool Drain(SteadyTime deadline) {
    draining_ = true;
    mailbox_->Wake();
    std::unique_lock lock(mutex_);
    return quiet_.wait_until(lock, deadline, [&] { return is_quiet_; });
  }

  void Stop() {
    stopping_ = true;
    mailbox_->Wake();
  }

 private:
  const ServerLimits& limits() const { return options_.limits; }

  Status Control(int operation, int fd, uint32_t events, uint64_t id) {
    epoll_event event = {};
    event.events = events;
    event.data.u64 = id;
    if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) return ErrnoError("epoll_ctl", errno);
    return OkStatus();
  }

  void Count(std::string_view reason) {
    metrics_.Add("bulkhead_http_refused_total",
                 MetricLabel("server", options_.name) + "," + MetricLabel("reason", reason));
  }

  int Timeout() const {
    SteadyTime next = Now() + std::chrono::hours(1);
    if (accept_pause_.has_value()) next = std::min(next, *accept_pause_);
    for (const auto& [id, connection] : connections_) {
      if (connection->again) return 0;
      next = std::min(next, connection->deadline);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
  }

  // --- connections come and go --------------------------------------------------------------------

  void Accept(size_t listener) {
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

  // A listener that stays readable would make this thread spin.
  void PauseAccepting() {
    Count("out-of-descriptors");
    accept_pause_ = Now() + kAcceptPause;
    for (size_t i = 0; i < listeners_.size(); ++i) (void)Control(EPOLL_CTL_MOD, listeners_[i].get(), 0, i + 1);
  }

  // Closes the connection that has waited longest without an admitted request.
  bool MakeRoom() {
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

  void Add(UniqueFd fd, Peer peer) {
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

  // The connection object ends here.
  void Close(Connection& connection) {
    if (connection.reply != nullptr) connection.reply->Abandon();
    reserved_ -= connection.reserved;
    connections_.erase(connection.id);
  }

  void Interest(Connection& connection, uint32_t events) {
    if (connection.events == events) return;
    connection.events = events;
    (void)Control(EPOLL_CTL_MOD, connection.fd.get(), events, connection.id);
  }

  void AwaitRequest(Connection& connection, std::chrono::nanoseconds patience) {
    connection.phase = Phase::kReading;
    connection.parser = std::make_unique<rpc::RequestParser>(limits().request);
    connection.admitted = false;
    connection.since = Now();
    connection.deadline = connection.since + patience;
    connection.again = !connection.input.empty() || connection.HasPending();
    Interest(connection, EPOLLIN);
  }

  // --- events ---------------------------------------------------------------------------------------

  void OnEvent(Connection& connection, uint32_t events) {
    if (connection.phase == Phase::kHandling) return OnEventWhileHandling(connection, events);
    Advance(connection);
  }

  // The client is waiting for its answer: all that can come is its end.
  void OnEventWhileHandling(Connection& connection, uint32_t events) {
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) return Close(connection);
    if ((events & EPOLLRDHUP) == 0) return;
    // It may still read: it gets the answer, but nobody knows whether it took it.
    connection.half_closed = true;
    connection.reply->Abandon();
    Interest(connection, 0);
  }

  void Advance(Connection& connection) {
    connection.again = false;
    switch (connection.phase) {
      case Phase::kHandshake: return Handshake(connection);
      case Phase::kReading: return ReadRequest(connection);
      case Phase::kSending: return SendOn(connection);
      case Phase::kLingering: return ThrowAway(connection);
      case Phase::kHandling: return;
    }
  }

  // Connections with work that no event tells of: bytes that were read already.
  void Resume() {
    std::vector<uint64_t> ready;
    for (const auto& [id, connection] : connections_) {
      if (connection->again) ready.push_back(id);
    }
    for (const uint64_t id : ready) {
      if (const auto found = connections_.find(id); found != connections_.end()) Advance(*found->second);
    }
  }

  void Expire() {
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

  void TooLate(Connection& connection) {
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

  void Handshake(Connection& connection) {
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

  // --- a request comes ------------------------------------------------------------------------------

  void ReadRequest(Connection& connection) {
    connection.again = false;
    for (int reads = 0; reads < kReadsAtOnce; ++reads) {
      if (!connection.input.empty()) {
        if (!TakeInput(connection)) return;
        continue;
      }
      std::array<char, kReadSize> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by Read
      size_t got = 0;
      switch (connection.Read(buffer.data(), buffer.size(), got)) {
        case Io::kDone:
          if (!connection.parser->started()) connection.deadline = Now() + limits().head;
          connection.input.assign(buffer.data(), got);
          break;
        case Io::kWantRead: return Interest(connection, EPOLLIN);
        case Io::kWantWrite: return Interest(connection, EPOLLOUT);
        case Io::kEnd:
        case Io::kFailed: return Close(connection);
      }
    }
    connection.again = !connection.input.empty() || connection.HasPending();
  }

  // Feeds the parser; false when the connection went on to another phase, or is gone.
  bool TakeInput(Connection& connection) {
    rpc::RequestParser& parser = *connection.parser;
    const size_t taken = parser.Feed(connection.input);
    connection.input.erase(0, taken);
    if (parser.state() == rpc::RequestParser::State::kHead) return true;
    if (parser.state() == rpc::RequestParser::State::kFailed) {
      Count("malformed");
      connection.input.clear();
      Answer(connection, ErrorResponse(parser.status(), parser.error()), /*keep=*/false);
      return false;
    }
    if (!connection.admitted && !Admit(connection)) return false;
    if (parser.state() != rpc::RequestParser::State::kDone) return true;
    Dispatch(connection);
    return false;
  }

  bool Admit(Connection& connection) {
    const rpc::RequestParser& parser = *connection.parser;
    const rpc::RequestHead& head = parser.head();
    const bool body_follows = parser.state() == rpc::RequestParser::State::kBody;
    std::optional<HttpResponse> refusal = handler_.Admit(head, connection.peer);
    if (!refusal.has_value() && head.content_length > limits().body_bytes - reserved_) {
      Count("too-many-bytes");
      refusal = ErrorResponse(503, "too many requests at once; ask again");
    }
    if (refusal.has_value()) {
      // What the client sends as a body must not be taken for its next request.
      Answer(connection, *refusal, /*keep=*/!body_follows);
      return false;
    }
    connection.admitted = true;
    connection.reserved = head.content_length;
    reserved_ += head.content_length;
    connection.deadline = Now() + limits().body;
    if (!head.expects_continue || !body_follows || !connection.input.empty()) return true;
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t put = 0;
    if (connection.Write(kContinue, put) == Io::kDone && put == kContinue.size()) return true;
    Close(connection);
    return false;
  }

  void Dispatch(Connection& connection) {
    auto reply = std::make_shared<PendingReply>(mailbox_, connection.id, ++connection.requests);
    HttpRequest request;
    request.head = connection.parser->head();
    request.body = connection.parser->TakeBody();
    request.peer = connection.peer;
    request.reply = reply;
    connection.reply = std::move(reply);
    connection.phase = Phase::kHandling;
    connection.deadline = Now() + limits().answer;
    Interest(connection, EPOLLRDHUP);
    auto shared = std::make_shared<HttpRequest>(std::move(request));
    handling_.fetch_add(1);
    const bool taken = pool_.TryRun([this, shared] {
      handler_.Handle(std::move(*shared));
      if (handling_.fetch_sub(1) == 1 && draining_.load()) mailbox_->Wake();
    });
    if (taken) return;
    handling_.fetch_sub(1);
    Count("too-many-requests");
    Answer(connection, ErrorResponse(503, "too many requests at once; ask again"), /*keep=*/true);
  }

  // --- an answer goes -------------------------------------------------------------------------------

  void TakeMail() {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_.get(), &count, sizeof count);
    for (const Mailbox::Letter& letter : mailbox_->TakeAll()) {
      const auto found = connections_.find(letter.connection);
      if (found == connections_.end()) continue;
      Connection& connection = *found->second;
      if (connection.phase == Phase::kHandling && connection.requests == letter.request)
        Answer(connection, letter.response, /*keep=*/true);
    }
  }

  void Answer(Connection& connection, const HttpResponse& response, bool keep) {
    const rpc::RequestHead& head = connection.parser->head();
    const bool parsed = connection.parser->state() == rpc::RequestParser::State::kDone;
    const bool keep_alive = keep && parsed && head.keep_alive && !connection.half_closed && !draining_.load() &&
                            connection.requests < limits().requests_per_connection;
    reserved_ -= connection.reserved;
    connection.reserved = 0;
    connection.reply.reset();
    connection.output = Serialise(response, head.http_1_0, keep_alive, HttpDate(std::chrono::system_clock::now()));
    connection.sent = 0;
    connection.close_after = !keep_alive;
    connection.phase = Phase::kSending;
    connection.deadline = Now() + limits().send;
    SendOn(connection);
  }

  void SendOn(Connection& connection) {
    while (connection.sent < connection.output.size()) {
      size_t put = 0;
      switch (connection.Write(std::string_view(connection.output).substr(connection.sent), put)) {
        case Io::kDone: connection.sent += put; break;
        case Io::kWantRead: return Interest(connection, EPOLLIN);
        case Io::kWantWrite: return Interest(connection, EPOLLOUT);
        case Io::kEnd:
        case Io::kFailed: return Close(connection);
      }
    }
    connection.output = {};
    if (!connection.close_after) return AwaitRequest(connection, limits().idle);
    // Closing over unread bytes would reset the connection, and the client could lose the answer.
    if (connection.tls.has_value()) connection.tls->Shutdown();
    ::shutdown(connection.fd.get(), SHUT_WR);
    connection.phase = Phase::kLingering;
    connection.since = Now();
    connection.deadline = connection.since + kLinger;
    connection.input = {};
    Interest(connection, EPOLLIN);
    ThrowAway(connection);
  }

  void ThrowAway(Connection& connection) {
    std::array<char, kReadSize> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by recv
    for (int reads = 0; reads < kReadsAtOnce; ++reads) {
      const ssize_t got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
      if (got <= 0) return Close(connection);
      connection.thrown_away += static_cast<size_t>(got);
      if (connection.thrown_away > kMostThrownAway) return Close(connection);
    }
  }

  // --- the end --------------------------------------------------------------------------------------

  void StopTaking() {
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

  const ServerOptions options_;
  HttpHandler& handler_;
  Metrics& metrics_;
  std::vector<UniqueFd> listeners_;
  const UniqueFd epoll_;
  const UniqueFd event_;
  const std::shared_ptr<Mailbox> mailbox_;

  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_id_ = kFirstConnection;
  size_t reserved_ = 0;
  std::optional<SteadyTime> accept_pause_;

  std::atomic<size_t> handling_{0};  // requests that the handler has
  std::atomic<bool> draining_{false};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable quiet_;
  bool is_quiet_ = false;  // guarded by mutex_

  WorkerPool pool_;  // last: its jobs use what is above
};

HttpServer::HttpServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)), thread_([this] { loop_->Run(); }) {}

HttpServer::~HttpServer() {
  loop_->Stop();
  thread_.join();
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(std::vector<UniqueFd> listeners, ServerOptions options,
                                                      HttpHandler& handler, Metrics& metrics) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return ErrnoError("epoll_create1", errno);
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return ErrnoError("eventfd", errno);
  auto loop = std::make_unique<Loop>(std::move(listeners), std::move(options), handler, metrics, std::move(epoll),
                                     std::move(event));
  BULKHEAD_TRY(loop->Watch());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(loop)));
}

bool HttpServer::Drain(SteadyTime deadline) {
  return loop_->Drain(deadline);
}

}  // namespace bulkhead::gateway

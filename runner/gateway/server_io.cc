#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "runner/gateway/server_loop.h"

namespace bulkhead::gateway {

namespace {

using Io = Connection::Io;

constexpr size_t kReadSize = 16U << 10U;
constexpr int kReadsAtOnce = 16;  // of one connection, before the others get their turn
constexpr size_t kMostThrownAway = 1U << 20U;
constexpr auto kLinger = std::chrono::seconds(2);

}  // namespace

// --- a request comes --------------------------------------------------------------------------------

void HttpServer::Loop::ReadRequest(Connection& connection) {
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

bool HttpServer::Loop::TakeInput(Connection& connection) {
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

bool HttpServer::Loop::Admit(Connection& connection) {
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

void HttpServer::Loop::Dispatch(Connection& connection) {
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

// --- an answer goes ---------------------------------------------------------------------------------

void HttpServer::Loop::TakeMail() {
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

void HttpServer::Loop::Answer(Connection& connection, const HttpResponse& response, bool keep) {
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

void HttpServer::Loop::SendOn(Connection& connection) {
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

void HttpServer::Loop::ThrowAway(Connection& connection) {
  std::array<char, kReadSize> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by recv
  for (int reads = 0; reads < kReadsAtOnce; ++reads) {
    const ssize_t got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (got <= 0) return Close(connection);
    connection.thrown_away += static_cast<size_t>(got);
    if (connection.thrown_away > kMostThrownAway) return Close(connection);
  }
}

}  // namespace bulkhead::gateway

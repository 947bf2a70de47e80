#include "runner/rpc/plugin_client.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "runner/base/text.h"
#include "runner/rpc/response_parser.h"

namespace bulkhead::rpc {

namespace {

using SteadyClock = std::chrono::steady_clock;
using Deadline = SteadyClock::time_point;

constexpr size_t kReadBuffer = 16U << 10U;  // one TLS record
constexpr size_t kMostErrorBody = 512;
// A server of one thread that keeps connections alive serves nobody else meanwhile: after this long
// without an answer, idle connections are closed so that it gets to the one that waits.
constexpr auto kStarved = std::chrono::milliseconds(200);
// To tell a waiting byte from a waiting end of file; it is there already.
constexpr auto kPeek = std::chrono::milliseconds(20);

struct Connection {
  std::unique_ptr<Stream> stream;
  bool reused = false;
};

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kReply: return "reply";
    case Outcome::kNotSupported: return "not-supported";
    case Outcome::kTransient: return "transient";
    case Outcome::kFatal: return "fatal";
  }
  return "";
}

struct PluginClient::State {
  State(std::string plugin, Connector connect, Secret bearer, ClientOptions client_options)
      : name(std::move(plugin)), connector(std::move(connect)), token(std::move(bearer)), options(client_options) {}

  const std::string name;
  const Connector connector;
  const Secret token;
  const ClientOptions options;

  std::atomic<int> starved{0};  // calls that have waited longer than kStarved for their first byte
  mutable std::mutex mutex;
  std::vector<Connection> idle;                    // guarded by mutex; the last used at the back
  std::set<std::string, std::less<>> unsupported;  // guarded by mutex

  std::optional<Connection> TakeIdle(CallResult& result);
  Result<Connection> Open(Deadline deadline) const;
  void Keep(Connection connection);
  void DropIdle();
  std::string Request(std::string_view method, std::string_view body, std::string_view extra_headers) const;
  // One request and its response. `retry_fresh` is set when a kept connection turned out to be closed.
  void Exchange(Connection connection, std::string_view request, Deadline deadline, CallResult& result,
                bool& retry_fresh);
  Status ReadResponse(Connection& connection, Deadline deadline, ResponseParser& parser, CallResult& result);
  void Classify(ResponseParser& parser, CallResult& result) const;
};

PluginClient::PluginClient(std::string name, Connector connector, Secret token, ClientOptions options)
    : state_(std::make_unique<State>(std::move(name), std::move(connector), std::move(token), options)) {}

PluginClient::~PluginClient() = default;

CallResult PluginClient::Call(std::string_view method, std::string_view body, Deadline deadline, const Sleeper& sleeper,
                              std::string_view extra_headers, Retry retry) {
  const auto begin = SteadyClock::now();
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_real_distribution<double> jitter(0.0, state_->options.backoff_jitter);
  CallResult result;
  if (KnownUnsupported(method)) {
    result.outcome = Outcome::kNotSupported;
    result.reason = "the plugin answered 404 to this method before";
    return result;
  }
  bool early_bytes = false;
  double backoff = static_cast<double>(state_->options.backoff.count());
  const int most = retry == Retry::kNever ? 1 : state_->options.max_attempts;
  for (int attempt = 1;; ++attempt) {
    result = Attempt(method, body, deadline, extra_headers);
    early_bytes = early_bytes || result.early_bytes;
    result.attempts = attempt;
    if (result.outcome != Outcome::kTransient || attempt >= most) break;
    const std::chrono::nanoseconds delay(static_cast<int64_t>(backoff * (1.0 + jitter(random))));
    backoff *= state_->options.backoff_factor;
    if (SteadyClock::now() + delay >= deadline || !sleeper(delay)) break;
  }
  result.early_bytes = early_bytes;
  result.elapsed = SteadyClock::now() - begin;
  if (result.outcome == Outcome::kTransient && result.attempts > 1) {
    result.reason += " (after " + std::to_string(result.attempts) + " attempts)";
  }
  if (result.outcome == Outcome::kNotSupported) {
    const std::lock_guard lock(state_->mutex);
    state_->unsupported.emplace(method);
  }
  return result;
}

CallResult PluginClient::Attempt(std::string_view method, std::string_view body, Deadline deadline,
                                 std::string_view extra_headers) {
  const auto begin = SteadyClock::now();
  const Deadline end = std::min(deadline, begin + state_->options.timeout);
  CallResult result;
  result.attempts = 1;
  const std::string request = state_->Request(method, body, extra_headers);
  bool retry_fresh = true;
  if (auto kept = state_->TakeIdle(result)) {
    retry_fresh = false;
    state_->Exchange(std::move(*kept), request, end, result, retry_fresh);
  }
  if (retry_fresh) {
    auto opened = state_->Open(end);
    if (opened.ok()) {
      bool ignored = false;
      state_->Exchange(std::move(*opened), request, end, result, ignored);
    } else {
      // Our own side could not connect, or the shim is not who it must be.
      result.outcome = opened.error().code() == Code::kPermissionDenied ? Outcome::kFatal : Outcome::kTransient;
      result.reason = opened.error().message();
    }
  }
  result.elapsed = SteadyClock::now() - begin;
  return result;
}

bool PluginClient::KnownUnsupported(std::string_view method) const {
  const std::lock_guard lock(state_->mutex);
  return state_->unsupported.find(method) != state_->unsupported.end();
}

void PluginClient::DropConnections() {
  state_->DropIdle();
}

// --- connections ----------------------------------------------------------------------------------

std::optional<Connection> PluginClient::State::TakeIdle(CallResult& result) {
  for (;;) {
    std::optional<Connection> connection;
    {
      const std::lock_guard lock(mutex);
      if (idle.empty()) return std::nullopt;
      connection = std::move(idle.back());
      idle.pop_back();
    }
    if (!connection->stream->HasPending()) return connection;
    // The plugin closed it, or spoke before it was asked: an answer to come must not be mistaken for it.
    char byte = 0;
    const auto read = connection->stream->Read(&byte, 1, SteadyClock::now() + kPeek);
    if (read.ok() && *read > 0) result.early_bytes = true;
  }
}

Result<Connection> PluginClient::State::Open(Deadline deadline) const {
  BULKHEAD_ASSIGN(std::unique_ptr<Stream> stream, connector(deadline));
  return Connection{std::move(stream), false};
}

void PluginClient::State::Keep(Connection connection) {
  if (starved.load(std::memory_order_relaxed) > 0) return;
  connection.reused = true;
  const std::lock_guard lock(mutex);
  if (idle.size() < options.max_idle_connections) idle.push_back(std::move(connection));
}

void PluginClient::State::DropIdle() {
  std::vector<Connection> dropped;
  const std::lock_guard lock(mutex);
  dropped.swap(idle);
}

// --- one exchange ---------------------------------------------------------------------------------

std::string PluginClient::State::Request(std::string_view method, std::string_view body,
                                         std::string_view extra_headers) const {
  std::string request;
  request.reserve(256 + extra_headers.size() + body.size());
  request += "POST /api/v1/";
  request += method;
  request +=
      " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bulkhead\r\nContent-Type: application/json\r\nAccept: "
      "application/json\r\n";
  if (!token.empty()) {
    request += "Authorization: Bearer ";
    request += token.Reveal();
    request += "\r\n";
  }
  request += extra_headers;
  request += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  request += body;
  return request;
}

void PluginClient::State::Exchange(Connection connection, std::string_view request, Deadline deadline,
                                   CallResult& result, bool& retry_fresh) {
  ResponseParser parser({options.max_header_bytes, options.max_reply_bytes});
  Status status = connection.stream->Write(request, deadline);
  // A plugin may answer, and close, before it has read the whole request: the answer counts.
  if (status.ok() || status.error().code() == Code::kUnavailable) {
    const Status read = ReadResponse(connection, deadline, parser, result);
    if (!read.ok() || status.ok()) status = read;
  }
  if (parser.state() == ResponseParser::State::kDone) {
    Classify(parser, result);
    if (parser.keep_alive() && !result.early_bytes) Keep(std::move(connection));
    return;
  }
  if (connection.reused && !parser.started() && (status.ok() || status.error().code() == Code::kUnavailable)) {
    retry_fresh = true;
    return;
  }
  result.http_status = 0;
  if (parser.state() == ResponseParser::State::kFailed) {
    result.outcome = parser.ended_early() ? Outcome::kTransient : Outcome::kFatal;
    result.reason = parser.error();
  } else if (status.error().code() == Code::kDeadlineExceeded) {
    result.outcome = Outcome::kTransient;
    result.reason = "no complete reply within " + FormatGoDuration(options.timeout);
  } else {
    result.outcome = status.error().code() == Code::kPermissionDenied ? Outcome::kFatal : Outcome::kTransient;
    result.reason = status.error().message();
  }
}

Status PluginClient::State::ReadResponse(Connection& connection, Deadline deadline, ResponseParser& parser,
                                         CallResult& result) {
  std::array<char, kReadBuffer> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by Read
  const Deadline patience = SteadyClock::now() + kStarved;
  bool waiting = false;
  Status status;
  while (parser.state() == ResponseParser::State::kHead || parser.state() == ResponseParser::State::kBody) {
    const bool first = !parser.started() && !waiting;
    const auto read =
        connection.stream->Read(buffer.data(), buffer.size(), first ? std::min(deadline, patience) : deadline);
    if (!read.ok()) {
      if (first && read.error().code() == Code::kDeadlineExceeded && SteadyClock::now() < deadline) {
        waiting = true;
        starved.fetch_add(1);
        DropIdle();
        continue;
      }
      status = read.error();
      break;
    }
    if (*read == 0) {
      parser.End();
      break;
    }
    if (parser.Feed({buffer.data(), *read}) < *read && parser.state() == ResponseParser::State::kDone)
      result.early_bytes = true;
  }
  if (waiting) starved.fetch_sub(1);
  return status;
}

void PluginClient::State::Classify(ResponseParser& parser, CallResult& result) const {
  result.http_status = parser.status();
  if (parser.status() == 200) {
    result.outcome = Outcome::kReply;
    result.body = parser.TakeBody();
    return;
  }
  if (parser.status() == 404) {
    result.outcome = Outcome::kNotSupported;
    result.reason = "404: the plugin does not support this method";
    return;
  }
  result.outcome = parser.status() == 503 ? Outcome::kTransient : Outcome::kFatal;
  std::string text = std::to_string(parser.status());
  if (!parser.reason_phrase().empty()) text += " " + parser.reason_phrase();
  const std::string body = parser.TakeBody();
  if (!body.empty()) text += ": " + body;
  // Cut before escaping, so that no escape is cut.
  if (text.size() > kMostErrorBody) text.resize(kMostErrorBody);
  result.reason = EscapeForTerminal(text);
}

}  // namespace bulkhead::rpc

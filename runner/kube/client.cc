#include "runner/kube/client.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "certs/tls.h"
#include "runner/base/io.h"
#include "runner/base/json.h"
#include "runner/base/net.h"
#include "runner/base/text.h"
#include "runner/rpc/response_parser.h"
#include "runner/rpc/stream.h"

namespace bulkhead::kube {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kReadBuffer = 16U << 10U;
constexpr size_t kMostHead = 64U << 10U;
constexpr size_t kMostToken = 64U << 10U;
constexpr size_t kMostMessage = 1024;
constexpr size_t kMostIdle = 4;
// kubelet renews a projected token when 80 % of its life is over, so a token this old is still good.
constexpr auto kTokenFresh = std::chrono::seconds(10);
constexpr int64_t kMostRetryAfterSeconds = 300;

std::string PathOf(const Resource& resource) {
  std::string path = resource.group.empty() ? "/api/" : "/apis/" + resource.group + "/";
  path += resource.version;
  if (!resource.name_space.empty()) path += "/namespaces/" + PercentEncode(resource.name_space);
  path += "/" + resource.plural;
  if (!resource.name.empty()) path += "/" + PercentEncode(resource.name);
  if (!resource.subresource.empty()) path += "/" + resource.subresource;
  return path;
}

std::string_view MethodOf(std::string_view verb) {
  if (verb == "create") return "POST";
  if (verb == "update") return "PUT";
  if (verb == "patch") return "PATCH";
  return "GET";
}

Failure FailureOf(int status, std::string_view message) {
  if (status >= 200 && status < 300) return Failure::kNone;
  // etcd's refusal of a large object comes as a 500 (etcd's ErrRequestTooLarge).
  if (status == 413 || message.find("request is too large") != std::string_view::npos) return Failure::kTooLarge;
  switch (status) {
    case 401: return Failure::kUnauthorized;
    case 403: return Failure::kForbidden;
    case 404: return Failure::kNotFound;
    case 409: return Failure::kConflict;
    case 410: return Failure::kGone;
    case 429: return Failure::kThrottled;
    default: return status >= 500 ? Failure::kServer : Failure::kRejected;
  }
}

// The `message` of a metav1.Status, or the text itself.
std::string MessageOf(const std::string& body) {
  const JsonParse parsed = ParseJson(body);
  const Value* const message = parsed.ok ? parsed.value.Find("message") : nullptr;
  std::string text = message != nullptr && message->is_string() ? message->text : body;
  if (text.size() > kMostMessage) text.resize(kMostMessage);
  return EscapeForTerminal(text);
}

std::string RoleSentence(const Request& request) {
  const Resource& resource = request.resource;
  std::string what = resource.plural;
  if (!resource.subresource.empty()) what += "/" + resource.subresource;
  return "; give the agent's service account a Role in namespace \"" + resource.name_space + "\" with apiGroups [\"" +
         resource.group + "\"], resources [\"" + what + "\"], verbs [\"" + request.verb + "\"]";
}

std::optional<std::chrono::nanoseconds> RetryAfter(const rpc::ResponseParser& parser) {
  const std::string* const value = parser.Header("retry-after");
  if (value == nullptr) return std::nullopt;
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), seconds);
  // The other form, a date, is not sent by API servers.
  if (error != std::errc() || end != value->data() + value->size() || seconds < 0) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, kMostRetryAfterSeconds));
}

}  // namespace

std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
      continue;
    }
    out += '%';
    out += kDigits[static_cast<uint8_t>(c) >> 4U];
    out += kDigits[static_cast<uint8_t>(c) & 15U];
  }
  return out;
}

struct Client::State {
  State(ClusterConfig cluster, ClientOptions client_options) : config(std::move(cluster)), options(client_options) {}

  const ClusterConfig config;
  const ClientOptions options;

  mutable std::mutex mutex;
  mutable std::condition_variable stopping;
  // Guarded by mutex.
  bool stopped = false;
  std::set<int> open;  // descriptors that somebody may wait on
  std::vector<std::unique_ptr<rpc::Stream>> idle;
  Secret token;
  SteadyTime token_read{};

  // A connection that Stop() can cut, for as long as this lives. By a descriptor of its own, so that it does not
  // matter who closes the connection's first.
  class Watched {
   public:
    explicit Watched(State& state) : state_(state) {}
    ~Watched() { Drop(); }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;
    void Add(int fd) {
      Drop();
      const std::lock_guard lock(state_.mutex);
      fd_.Reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
      state_.open.insert(fd_.get());
      if (state_.stopped) ::shutdown(fd_.get(), SHUT_RDWR);
    }
    void Drop() {
      const std::lock_guard lock(state_.mutex);
      state_.open.erase(fd_.get());
      fd_.Reset();
    }

   private:
    State& state_;
    UniqueFd fd_;
  };

  Result<std::unique_ptr<rpc::Stream>> Open(SteadyTime deadline, Watched& watched) const {
    certs::WebTrust trust;
    trust.authorities = config.authorities;
    if (!config.authority_file.empty()) {
      BULKHEAD_ASSIGN(trust.authorities, ReadFile(config.authority_file, options.max_body_bytes));
    }
    trust.system_roots = trust.authorities.empty();
    trust.certificate = config.certificate;
    trust.private_key = config.private_key.Clone();
    BULKHEAD_ASSIGN(const certs::TlsContext context, certs::TlsContext::ForWebServer(trust, config.server_name));
    const SteadyTime connected_by = std::min(deadline, SteadyClock::now() + options.connect_timeout);
    const auto opened = [&watched](int fd) { watched.Add(fd); };
    BULKHEAD_ASSIGN(UniqueFd fd, ConnectTcp(config.host, config.port, connected_by, opened));
    SetKeepAlive(fd.get());
    return rpc::OpenTls(context, std::move(fd), connected_by);
  }

  std::unique_ptr<rpc::Stream> TakeIdle() {
    const std::lock_guard lock(mutex);
    while (!idle.empty()) {
      std::unique_ptr<rpc::Stream> stream = std::move(idle.back());
      idle.pop_back();
      if (!stream->HasPending()) return stream;
    }
    return nullptr;
  }

  void Keep(std::unique_ptr<rpc::Stream> stream) {
    const std::lock_guard lock(mutex);
    if (idle.size() < kMostIdle && !stopped) idle.push_back(std::move(stream));
  }

  Result<Secret> CurrentToken(bool again) {
    const std::lock_guard lock(mutex);
    if (config.token_file.empty()) return config.token.Clone();
    const SteadyTime now = SteadyClock::now();
    if (!again && !token.empty() && now - token_read < kTokenFresh) return token.Clone();
    BULKHEAD_ASSIGN(std::string text, ReadFile(config.token_file, kMostToken));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    if (std::any_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c == 0x7F; }))
      return Error(Code::kInvalidInput, config.token_file + ": the token has characters that no header may hold");
    token = Secret(std::move(text));
    token_read = now;
    return token.Clone();
  }

  Result<std::string> Encode(const Request& request, bool fresh_token) {
    BULKHEAD_ASSIGN(const Secret bearer, CurrentToken(fresh_token));
    std::string text;
    text.reserve(512 + request.body.size());
    text += MethodOf(request.verb);
    text += " " + config.base_path + PathOf(request.resource);
    if (!request.query.empty()) text += "?" + request.query;
    text += " HTTP/1.1\r\nHost: ";
    text += config.host.find(':') == std::string::npos ? config.host : "[" + config.host + "]";
    text += ":" + std::to_string(config.port) + "\r\nUser-Agent: bulkhead\r\nAccept: application/json\r\n";
    if (!bearer.empty()) {
      text += "Authorization: Bearer ";
      text += bearer.Reveal();
      text += "\r\n";
    }
    if (!request.body.empty()) {
      text += "Content-Type: " + (request.content_type.empty() ? "application/json" : request.content_type);
      text += "\r\nContent-Length: " + std::to_string(request.body.size()) + "\r\n";
    }
    text += "\r\n";
    text += request.body;
    return text;
  }

  Answer Transport(const Error& error) const {
    const std::lock_guard lock(mutex);
    Answer answer;
    answer.failure = stopped ? Failure::kStopped : Failure::kTransport;
    answer.message = "API server " + config.host + ":" + std::to_string(config.port) + ": " + error.message();
    return answer;
  }

  rpc::ResponseLimits Limits(size_t body) const {
    rpc::ResponseLimits limits;
    limits.head_bytes = kMostHead;
    limits.body_bytes = body;
    limits.peer = "API server";
    return limits;
  }

  // Reads until `parser` has all, or `each` returns false.
  static Status Receive(rpc::Stream& stream, SteadyTime deadline, rpc::ResponseParser& parser,
                        const std::function<bool()>& each) {
    std::array<char, kReadBuffer> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by Read
    while (parser.state() == rpc::ResponseParser::State::kHead || parser.state() == rpc::ResponseParser::State::kBody) {
      BULKHEAD_ASSIGN(const size_t got, stream.Read(buffer.data(), buffer.size(), deadline));
      if (got == 0) {
        parser.End();
      } else {
        parser.Feed({buffer.data(), got});
      }
      if (each && !each()) return OkStatus();
    }
    if (parser.state() == rpc::ResponseParser::State::kFailed) return Error(Code::kUnavailable, parser.error());
    return OkStatus();
  }

  static void Classify(const Request& request, rpc::ResponseParser& parser, std::string body, Answer& answer) {
    answer.status = parser.status();
    answer.retry_after = RetryAfter(parser);
    std::string message = answer.status >= 300 ? MessageOf(body) : std::string();
    answer.failure = FailureOf(answer.status, message);
    if (answer.ok()) {
      answer.body = std::move(body);
      return;
    }
    answer.message = "API server answered " + std::to_string(answer.status) + ": " + message;
    if (answer.failure == Failure::kForbidden) answer.message += RoleSentence(request);
  }

  Answer Once(const Request& request, bool fresh_token) {
    const SteadyTime deadline = SteadyClock::now() + options.timeout;
    auto encoded = Encode(request, fresh_token);
    if (!encoded.ok()) return Transport(encoded.error());
    for (bool may_be_stale = true;; may_be_stale = false) {
      Watched watched(*this);
      std::unique_ptr<rpc::Stream> stream = may_be_stale ? TakeIdle() : nullptr;
      const bool reused = stream != nullptr;
      if (reused) {
        watched.Add(stream->fd());
      } else {
        auto opened = Open(deadline, watched);
        if (!opened.ok()) return Transport(opened.error());
        stream = std::move(*opened);
      }
      rpc::ResponseParser parser(Limits(options.max_body_bytes));
      Status status = stream->Write(*encoded, deadline);
      // A server may refuse a large body before it has read all of it.
      if (status.ok() || status.error().code() == Code::kUnavailable) {
        const Status received = Receive(*stream, deadline, parser, {});
        if (received.ok() || status.ok()) status = received;
      }
      if (status.ok()) {
        Answer answer;
        Classify(request, parser, parser.TakeBody(), answer);
        if (parser.keep_alive()) Keep(std::move(stream));
        return answer;
      }
      // Every verb that is used here may be sent twice: a merge patch comes to the same, an update carries the
      // version it is for, and a second create conflicts.
      if (!reused || parser.started() || status.error().code() == Code::kDeadlineExceeded)
        return Transport(status.error());
    }
  }
};

Client::Client(ClusterConfig config, ClientOptions options)
    : state_(std::make_unique<State>(std::move(config), options)) {}

Client::~Client() {
  Stop();
}

Answer Client::Call(const Request& request) {
  Answer answer = state_->Once(request, /*fresh_token=*/false);
  if (answer.failure == Failure::kUnauthorized && !state_->config.token_file.empty())
    answer = state_->Once(request, /*fresh_token=*/true);
  return answer;
}

Answer Client::Watch(const Request& request, SteadyTime deadline,
                     const std::function<bool(std::string_view)>& on_line) {
  auto encoded = state_->Encode(request, /*fresh_token=*/true);
  if (!encoded.ok()) return state_->Transport(encoded.error());
  State::Watched watched(*state_);
  auto opened = state_->Open(deadline, watched);
  if (!opened.ok()) return state_->Transport(opened.error());
  const std::unique_ptr<rpc::Stream> stream = std::move(*opened);
  rpc::ResponseParser parser(state_->Limits(state_->options.max_line_bytes));
  std::string pending;
  bool ended_by_us = false;
  bool too_long = false;
  const auto lines = [&] {
    if (parser.state() == rpc::ResponseParser::State::kHead || parser.status() != 200) return true;
    const size_t searched = pending.size();
    pending += parser.DrainBody();
    size_t begin = 0;
    for (size_t end = pending.find('\n', searched); end != std::string::npos; end = pending.find('\n', begin)) {
      if (end > begin && !on_line(std::string_view(pending).substr(begin, end - begin))) {
        ended_by_us = true;
        return false;
      }
      begin = end + 1;
    }
    pending.erase(0, begin);
    too_long = pending.size() > state_->options.max_line_bytes;
    return !too_long;
  };
  Status status = stream->Write(*encoded, deadline);
  if (status.ok()) status = State::Receive(*stream, deadline, parser, lines);
  Answer answer;
  if (too_long) return state_->Transport(Error(Code::kResourceExhausted, "an event is larger than the limit"));
  if (!ended_by_us && !status.ok()) return state_->Transport(status.error());
  State::Classify(request, parser, ended_by_us ? std::string() : parser.TakeBody(), answer);
  return answer;
}

void Client::Stop() {
  const std::lock_guard lock(state_->mutex);
  state_->stopped = true;
  for (const int fd : state_->open) ::shutdown(fd, SHUT_RDWR);
  state_->stopping.notify_all();
}

bool Client::stopped() const {
  const std::lock_guard lock(state_->mutex);
  return state_->stopped;
}

bool Client::Sleep(std::chrono::nanoseconds time) const {
  std::unique_lock lock(state_->mutex);
  return !state_->stopping.wait_for(lock, time, [&] { return state_->stopped; });
}

const std::string& Client::name_space() const {
  return state_->config.name_space;
}

Secret Client::Token() const {
  auto token = state_->CurrentToken(/*again=*/false);
  return token.ok() ? std::move(*token) : Secret();
}

Result<Value> ParseObject(std::string_view bytes) {
  JsonLimits limits;
  limits.bytes = 64U << 20U;
  limits.string_bytes = 8U << 20U;
  limits.values = 4'000'000;
  limits.depth = 128;
  limits.fold_keys = false;
  JsonParse parsed = ParseJson(bytes, limits);
  if (!parsed.ok) return Error(Code::kCorrupt, parsed.error.pointer + ": " + parsed.error.message);
  return std::move(parsed.value);
}

std::chrono::nanoseconds Backoff::Next(const std::optional<std::chrono::nanoseconds>& retry_after) {
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_real_distribution<double> share(0.5, 1.0);
  const std::chrono::nanoseconds pause(static_cast<int64_t>(static_cast<double>(next_.count()) * share(random)));
  next_ = std::min(next_ * 2, most_);
  return retry_after.has_value() ? std::max(*retry_after, pause) : pause;
}

}  // namespace bulkhead::kube

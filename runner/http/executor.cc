#include "runner/http/executor.h"

#include <algorithm>
#include <array>
#include <utility>

#include "runner/base/text.h"

namespace bulkhead::http {

namespace {

constexpr std::string_view kUserAgent = "User-Agent: bulkhead\r\n";

// What must not follow a redirect to another origin, beside header fields from Secrets.
constexpr std::array<std::string_view, 4> kCredentials = {"authorization", "cookie", "cookie2", "www-authenticate"};
// What describes a body, and goes when the body does.
constexpr std::array<std::string_view, 4> kBodyFields = {"content-encoding", "content-language", "content-location",
                                                         "content-type"};

template <size_t N>
bool IsOneOf(std::string_view name, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), ToLower(name)) != list.end();
}

bool SameOrigin(const Url& a, const Url& b) {
  return a.tls == b.tls && a.host == b.host && a.port == b.port;
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// A header field with its value, whatever it came from.
struct Line {
  std::string name;
  Secret value;
  bool credential = false;
};

}  // namespace

// One execution: the state that its redirects share.
class Executor::Run {
 public:
  Run(Executor& executor, const HttpTask& task, SteadyTime deadline)
      : executor_(executor),
        options_(executor.options_),
        held_(options_.holder == nullptr ? nullptr : options_.holder->Get()),
        policies_(held_ == nullptr ? *options_.policies : *held_),
        task_(task),
        deadline_(deadline) {}

  HttpOutcome Go() {
    const auto begin = std::chrono::steady_clock::now();
    Status status = Prepare();
    Response response;
    if (status.ok()) status = Follow(response);
    if (status.ok()) {
      Conclude(response);
    } else {
      Explain(status.error());
    }
    outcome_.message = Redacted(outcome_.message);
    for (HttpHop& hop : outcome_.hops) {
      hop.url = Redacted(hop.url);
      hop.method = EscapeForTerminal(hop.method);
    }
    outcome_.elapsed = std::chrono::steady_clock::now() - begin;
    return std::move(outcome_);
  }

 private:
  Status Prepare() {
    Diagnostics diagnostics("template " + std::string(task_.template_name));
    template_ = ReadHttpTemplate(*task_.http, diagnostics);
    stop_ = HttpStop::kTemplate;
    BULKHEAD_TRY(diagnostics.ToStatus());
    BULKHEAD_ASSIGN(url_, ParseUrl(template_.url));
    method_ = template_.Method();
    body_ = template_.body;
    host_header_ = template_.host_header;
    limits_ = policies_.LimitsFor(subject());
    std::chrono::nanoseconds most = limits_.timeout;
    if (template_.timeout.has_value()) most = std::min<std::chrono::nanoseconds>(most, *template_.timeout);
    timeout_ = most;
    deadline_ = std::min(deadline_, std::chrono::steady_clock::now() + most);
    return OkStatus();
  }

  // Sends the request and follows redirects until there is a response to judge.
  Status Follow(Response& response) {
    for (int redirects = 0;; ++redirects) {
      BULKHEAD_TRY(SendOnce(response));
      outcome_.hops.back().status = response.status;
      const auto location = std::find_if(response.headers.begin(), response.headers.end(),
                                         [](const auto& field) { return ToLower(field.first) == "location"; });
      // Go's client takes a redirect without a Location for an answer.
      if (!IsRedirect(response.status) || location == response.headers.end() || location->second.empty())
        return OkStatus();
      if (redirects >= limits_.redirects) {
        stop_ = HttpStop::kTransport;
        return Error(Code::kResourceExhausted, "stopped after " + std::to_string(limits_.redirects) + " redirects");
      }
      BULKHEAD_TRY(Redirect(response.status, location->second));
    }
  }

  Status SendOnce(Response& response) {
    HttpHop& hop = outcome_.hops.emplace_back();
    hop.method = method_;
    hop.url = url_.ForPeople();
    stop_ = HttpStop::kTransport;
    BULKHEAD_ASSIGN(std::optional<Proxy> proxy, ProxyFor(options_.proxies, url_));
    stop_ = HttpStop::kPolicy;
    BULKHEAD_ASSIGN(EgressGrant grant, policies_.DecideTarget(subject(), Target(proxy.has_value())));
    Request request;
    BULKHEAD_TRY(Resolve(proxy.has_value(), grant, request.addresses));
    hop.rules = grant.Rules();
    text_ = grant.text();
    braces_ = grant.braces();
    // Only now: a request that may not be made touches no Secret.
    stop_ = HttpStop::kTemplate;
    BULKHEAD_TRY(ReadHeaders());
    request.url = &url_;
    request.method = method_;
    request.host_header = host_header_;
    const std::string lines = HeaderLines();
    request.header_lines = lines;
    request.body = body_;
    request.insecure_skip_verify = template_.insecure_skip_verify && url_.tls;
    request.proxy = std::move(proxy);
    request.most_response_bytes = limits_.response_bytes;
    stop_ = HttpStop::kTransport;
    BULKHEAD_ASSIGN(response, executor_.client_.Send(request, deadline_));
    hop.address = response.address;
    return OkStatus();
  }

  EgressTarget Target(bool via_proxy) {
    EgressTarget target;
    target.url = &url_;
    target.method = method_;
    if (!host_header_.empty()) {
      // Its form was checked when the template was read.
      if (const auto host = ParseUrl("http://" + host_header_ + "/"); host.ok() && host->host != url_.host)
        named_host_ = host->host;
      target.host_header = named_host_;
    }
    target.insecure_skip_verify = template_.insecure_skip_verify && url_.tls;
    target.via_proxy = via_proxy;
    return target;
  }

  // With a proxy it is the proxy that resolves: only an address that stands in the URL can be judged here.
  Status Resolve(bool via_proxy, EgressGrant& grant, std::vector<IpAddress>& addresses) {
    std::vector<IpAddress> found;
    if (url_.address.has_value()) {
      found = {*url_.address};
    } else if (!via_proxy) {
      stop_ = HttpStop::kTransport;
      BULKHEAD_ASSIGN(found, options_.resolver(url_.host, deadline_, executor_.stopped_));
      stop_ = HttpStop::kPolicy;
    }
    if (!via_proxy || !found.empty()) {
      BULKHEAD_TRY(DecideAddresses(url_.host, found, grant));
    }
    if (!via_proxy) addresses = std::move(found);
    return OkStatus();
  }

  // --- headers --------------------------------------------------------------------------------------

  Status ReadHeaders() {
    if (have_headers_) return OkStatus();
    have_headers_ = true;
    std::vector<redact::NamedSecret> secrets;
    for (const HeaderField& field : template_.headers) {
      Line line;
      line.name = field.name;
      line.credential = field.secret.has_value() || IsOneOf(field.name, kCredentials);
      if (field.secret.has_value()) {
        BULKHEAD_ASSIGN(line.value, options_.secrets(task_.name_space, field.secret->name, field.secret->key));
        const std::string which = field.secret->name + "/" + field.secret->key;
        if (!IsHeaderValue(line.value.Reveal()))
          return Error(Code::kInvalidInput, "secret " + EscapeForTerminal(which) +
                                                " holds a control character (a line end?), which no header can");
        Remember(which, line.value, secrets);
      } else {
        line.value = Secret(field.value);
      }
      lines_.push_back(std::move(line));
    }
    if (secrets.empty()) return OkStatus();
    BULKHEAD_ASSIGN(redactor_, redact::Redactor::Create(std::move(secrets)));
    return OkStatus();
  }

  // The secret whole, and what follows its scheme word: servers show "Bearer <token>" without the word.
  static void Remember(const std::string& which, const Secret& value, std::vector<redact::NamedSecret>& secrets) {
    std::string name;
    for (const char c : which) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                         c == '_' || c == '-' || c == '/';
      name += plain ? c : '_';
    }
    const std::string_view text = value.Reveal();
    secrets.push_back({name, value.Clone()});
    const size_t space = text.rfind(' ');
    if (space != std::string_view::npos && text.size() - space - 1 >= redact::Redactor::kMinimumBytes)
      secrets.push_back({name, Secret(std::string(text.substr(space + 1)))});
  }

  std::string HeaderLines() const {
    std::string lines;
    bool has_agent = false;
    for (const Line& line : lines_) {
      has_agent = has_agent || ToLower(line.name) == "user-agent";
      lines += line.name + ": ";
      lines += line.value.Reveal();
      lines += "\r\n";
    }
    return has_agent ? lines : lines + std::string(kUserAgent);
  }

  // --- redirects ------------------------------------------------------------------------------------

  // As Go's client: 301, 302 and 303 turn all but HEAD into GET without a body; 307 and 308 keep both.
  Status Redirect(int status, const std::string& location) {
    stop_ = HttpStop::kPolicy;
    auto next = ResolveReference(url_, location);
    if (!next.ok()) return next.error().WithContext("redirect refused");
    if (status != 307 && status != 308) {
      if (method_ != "HEAD") method_ = "GET";
      body_.clear();
      std::erase_if(lines_, [](const Line& line) { return IsOneOf(line.name, kBodyFields); });
    }
    if (!SameOrigin(url_, *next)) {
      std::erase_if(lines_, [](const Line& line) { return line.credential; });
    }
    if (!IsRelativeReference(location)) host_header_.clear();
    named_host_.clear();
    url_ = std::move(*next);
    return OkStatus();
  }

  // --- what it came to ------------------------------------------------------------------------------

  void Conclude(Response& response) {
    outcome_.response_bytes = response.body.size();
    outcome_.response_sha256 = Sha256Hex(response.body);
    outcome_.phase = "Succeeded";
    if (template_.success_condition.has_value()) {
      Judge(response);
    } else if (response.status / 100 != 2) {
      outcome_.phase = "Failed";
      outcome_.message = "received non-2xx response code: " + std::to_string(response.status);
    }
    const auto refusal = ResultRefusal(response.body, text_, braces_);
    if (!refusal.has_value()) {
      outcome_.result = Redacted(response.body, &outcome_.masked);
    } else if (outcome_.phase == "Succeeded") {
      outcome_.phase = "Error";
      outcome_.stop = HttpStop::kPolicy;
      outcome_.message = "the response can't be a result: it " + *refusal;
    } else {
      outcome_.message += " (its body is left out: it " + *refusal + ")";
    }
  }

  void Judge(const Response& response) {
    HeaderList request_headers;
    for (const HeaderField& field : template_.headers) {
      // A condition can't tell a Secret: its verdict would give it away bit by bit.
      request_headers.emplace_back(field.name, field.secret.has_value() ? "" : field.value);
    }
    Exchange exchange;
    exchange.method = template_.method;
    exchange.url = template_.url;
    exchange.request_headers = &request_headers;
    exchange.request_body = template_.body;
    exchange.status = response.status;
    exchange.response_headers = &response.headers;
    exchange.response_body = response.body;
    const auto holds = template_.success_condition->Holds(exchange);
    if (holds.ok() && *holds) return;
    outcome_.phase = "Failed";
    outcome_.message = holds.ok() ? "successCondition '" + EscapeForTerminal(template_.success_condition->source()) +
                                        "' evaluated false"
                                  : "successCondition: " + holds.error().message();
  }

  void Explain(const Error& error) {
    outcome_.stop = stop_;
    const bool ours = stop_ == HttpStop::kPolicy || stop_ == HttpStop::kTemplate;
    outcome_.phase = ours ? "Error" : "Failed";
    outcome_.message = error.message();
    if (stop_ != HttpStop::kTransport) return;
    if (error.code() == Code::kDeadlineExceeded)
      outcome_.message = "no complete response within " + FormatGoDuration(timeout_);
    outcome_.message = "request to " + url_.AuthorityWithPort() + " failed: " + outcome_.message;
  }

  std::string Redacted(const std::string& text, size_t* masked = nullptr) const {
    size_t first = 0;
    size_t second = 0;
    std::string out = redactor_ != nullptr ? redactor_->Redact(text, &first) : text;
    out = options_.redactor->Redact(out, &second);
    if (masked != nullptr) *masked = first + second;
    return out;
  }

  EgressSubject subject() const { return {task_.name_space, task_.template_name}; }

  Executor& executor_;
  const ExecutorOptions& options_;
  const std::shared_ptr<const EgressPolicies> held_;  // null: they are fixed
  const EgressPolicies& policies_;
  const HttpTask& task_;
  SteadyTime deadline_;
  std::chrono::nanoseconds timeout_{0};
  HttpTemplate template_;
  EgressLimits limits_;
  HttpOutcome outcome_;
  HttpStop stop_ = HttpStop::kTemplate;  // what an error of the next step would be

  // Of the request to send next.
  Url url_;
  std::string method_;
  std::string body_;
  std::string host_header_;
  std::string named_host_;  // the host of host_header_, when it is another than the URL's
  bool have_headers_ = false;
  std::vector<Line> lines_;
  std::shared_ptr<const redact::Redactor> redactor_;  // of the template's own Secrets; null: none

  // Of the last grant.
  ResultText text_ = ResultText::kText;
  bool braces_ = false;
};

Executor::Executor(ExecutorOptions options) : options_(std::move(options)), client_(options_.ca_folder) {}

HttpOutcome Executor::Execute(const HttpTask& task, SteadyTime deadline) {
  return Run(*this, task, deadline).Go();
}

void Executor::Stop() {
  stopped_ = true;
  client_.Stop();
}

std::optional<std::string> ResultRefusal(std::string_view body, ResultText text, bool braces) {
  // util/template/placeholder.go and workflow/common/common.go of argo-workflows.
  constexpr std::array<std::string_view, 2> kMarkers = {"__argo-internal.absent-optional-output__",
                                                        "__argo__internal__placeholder-"};
  if (!IsValidUtf8(body)) return "is not valid UTF-8";
  if (!braces && body.find("{{") != std::string_view::npos)
    return "holds {{, which Argo would expand as a template (result: {braces: allow} in the egress rule would let it)";
  for (const std::string_view marker : kMarkers) {
    if (body.find(marker) != std::string_view::npos) return "holds a marker that Argo uses internally";
  }
  if (body.find('\0') != std::string_view::npos) return "holds a NUL character";
  if (text == ResultText::kAnyUtf8) return std::nullopt;
  // Without what ends lines and indents them, nothing that a terminal would obey may be left.
  std::string rest(body);
  std::erase_if(rest, [](char c) { return c == '\n' || c == '\r' || c == '\t'; });
  if (EscapeForTerminal(rest) == rest) return std::nullopt;
  return "holds control or bidirectional characters (result: {charset: any} in the egress rule would let them)";
}

}  // namespace bulkhead::http

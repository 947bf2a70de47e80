#include "runner/gateway/gateway.h"

#include <algorithm>
#include <utility>

#include "runner/base/text.h"
#include "runner/rpc/http_text.h"

namespace bulkhead::gateway {

namespace {

constexpr std::string_view kPrefix = "/api/v1/";

std::optional<Method> MethodOf(std::string_view target) {
  if (!target.starts_with(kPrefix)) return std::nullopt;
  return MethodByName(target.substr(kPrefix.size()));
}

// A browser can be made to send other types to loopback without being asked.
bool IsJson(std::string_view content_type) {
  return rpc::EqualsIgnoringCase(rpc::Trim(content_type.substr(0, content_type.find(';'))), "application/json");
}

}  // namespace

Gateway::Gateway(GatewayOptions options, Services services, audit::AuditLog& audit, BearerToken* token,
                 const Logger& log, std::function<void(const Error&)> on_audit_failure)
    : options_(options),
      services_(std::move(services)),
      audit_(audit),
      token_(token),
      log_(log),
      on_audit_failure_(std::move(on_audit_failure)),
      executions_(Executions::Limits{}) {}

// --- who asks for what ----------------------------------------------------------------------------

std::optional<HttpResponse> Gateway::Admit(const rpc::RequestHead& head, const Peer& peer) {
  const std::optional<Method> method = MethodOf(head.target);
  // Whether there is such a path is told only to those who may ask.
  if (auto refusal = CheckCaller(head, peer, method.value_or(Method::kTemplateExecute))) return refusal;
  if (!method.has_value()) return ErrorResponse(404, "there is no such method");
  if (head.method != "POST") {
    HttpResponse response = ErrorResponse(405, "the plugin RPC is POST only");
    response.allow = "POST";
    return response;
  }
  if (!IsJson(head.content_type)) return ErrorResponse(415, "the plugin RPC takes application/json");
  if (!open_.load()) return ErrorResponse(503, "plugins are still being started; ask again");
  const std::string_view name = MethodName(*method);
  const bool served = std::any_of(services_.plugins.begin(), services_.plugins.end(),
                                  [&](const Plugin* plugin) { return plugin->Serves(name); });
  if (!served) return ErrorResponse(404, "no plugin supports this method");
  return std::nullopt;
}

std::optional<HttpResponse> Gateway::CheckCaller(const rpc::RequestHead& head, const Peer& peer, Method method) {
  if (options_.tls) {
    // The handshake has let in nobody else; this only insists.
    if (!peer.uri.empty()) return std::nullopt;
    return RefuseCaller(401, "no-certificate", "a client certificate is needed", peer);
  }
  if (!peer.loopback) return RefuseCaller(403, "not-loopback", "plain HTTP is for loopback only", peer);
  switch (token_->Matches(head.authorization)) {
    case BearerToken::Check::kMatch: return std::nullopt;
    case BearerToken::Check::kWrong: return RefuseCaller(403, "wrong-token", "the bearer token is not the one", peer);
    case BearerToken::Check::kMissing: break;
  }
  if (options_.hooks_without_token && IsHook(method) && head.authorization.empty()) return std::nullopt;
  return RefuseCaller(401, "no-token", "a bearer token is needed", peer);
}

HttpResponse Gateway::RefuseCaller(int status, std::string_view reason, std::string_view sentence, const Peer& peer) {
  services_.metrics->Add("bulkhead_gateway_callers_refused_total", MetricLabel("reason", reason));
  {
    const std::lock_guard lock(mutex_);
    auto entry = refused_.find(reason);
    if (entry == refused_.end()) entry = refused_.emplace(reason, RefusedCallers{}).first;
    ++entry->second.count;
    entry->second.peer = peer.address;
  }
  return ErrorResponse(status, sentence);
}

// Strangers may ask as often as they like, but must not fill the audit log.
void Gateway::RecordRefusedCallers() {
  decltype(refused_) refused;
  {
    const std::lock_guard lock(mutex_);
    refused.swap(refused_);
  }
  for (const auto& [reason, callers] : refused) {
    Value fields = Value::Object();
    fields.Set("reason", Value::String(reason));
    fields.Set("peer", Value::String(callers.peer));
    fields.Set("count", Value::Number(static_cast<int64_t>(callers.count)));
    audit_.Append({audit::Event::kCallerRefused, std::move(fields)}, [this](const Status& status) {
      if (!status.ok()) on_audit_failure_(status.error());
    });
  }
}

std::string Gateway::CallerOf(const HttpRequest& request) const {
  if (options_.tls) return "uri:" + request.peer.uri;
  return request.head.authorization.empty() ? "loopback" : "token";
}

// --- the way of a call ----------------------------------------------------------------------------

void Gateway::Handle(HttpRequest request) {
  const SteadyTime began = std::chrono::steady_clock::now();
  const std::optional<Method> method = MethodOf(request.head.target);
  if (!method.has_value()) return request.reply->Send(ErrorResponse(404, "there is no such method"));
  auto call = ReadRpcCall(*method, std::move(request.body));
  if (!call.ok()) {
    HttpResponse response = ErrorResponse(400, call.error().message());
    CountAnswer(*method, response, began);
    return request.reply->Send(std::move(response));
  }
  const std::string caller = CallerOf(request);
  if (IsHook(*method)) {
    Outcome outcome = RunHook(*call, caller, began + options_.hook_deadline, services_);
    CountAnswer(*method, outcome.response, began);
    return Send(request, nullptr, *method, std::move(outcome));
  }
  const std::string key = Sha256Hex(call->body);
  const auto execution = executions_.Enter(key, request.reply, began);
  if (execution == nullptr) {
    services_.metrics->Add("bulkhead_gateway_repeated_calls_total");
    return;
  }
  Outcome outcome = Execute(*call, key, caller, began + options_.execute_deadline, services_);
  CountAnswer(*method, outcome.response, began);
  Send(request, execution, *method, std::move(outcome));
}

// From here on the outcome is on its way to the record, and only then to who asked.
void Gateway::Send(HttpRequest& request, const std::shared_ptr<Executions::Execution>& execution, Method method,
                   Outcome outcome) {
  auto answer = [this, reply = request.reply, execution, method,
                 response = std::move(outcome.response)](const Status& recorded) mutable {
    if (!recorded.ok()) {
      on_audit_failure_(recorded.error());
      response = ErrorResponse(500, std::string(MethodName(method)) + ": not applied: the audit log cannot be written");
    }
    if (execution != nullptr) return executions_.Finish(execution, response, std::chrono::steady_clock::now());
    reply->Send(std::move(response));
  };
  if (outcome.records.empty()) return answer(OkStatus());
  for (audit::Record& record : outcome.records) services_.redactor->RedactTree(record.fields);
  // The log keeps their order, and after a failure takes nothing more: the last one's success is that of all.
  for (size_t i = 0; i + 1 < outcome.records.size(); ++i) {
    audit_.Append(std::move(outcome.records[i]), [this](const Status& status) {
      if (!status.ok()) on_audit_failure_(status.error());
    });
  }
  audit_.Append(std::move(outcome.records.back()), std::move(answer));
}

void Gateway::CountAnswer(Method method, const HttpResponse& response, SteadyTime began) {
  const std::string label = MetricLabel("method", MethodName(method));
  services_.metrics->Add("bulkhead_gateway_calls_total",
                         label + "," + MetricLabel("status", std::to_string(response.status)));
  const auto took = std::chrono::steady_clock::now() - began;
  services_.metrics->Add("bulkhead_gateway_call_milliseconds_total", label,
                         static_cast<uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(took).count()));
  if (response.status >= 400)
    log_.Log(LogLevel::kWarn, "call refused", {{"method", std::string(MethodName(method))}, {"reason", response.body}});
}

}  // namespace bulkhead::gateway

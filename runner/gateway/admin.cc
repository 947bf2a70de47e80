#include "runner/gateway/admin.h"

#include <utility>

#include "runner/base/text.h"

namespace bulkhead::gateway {

Admin::Admin(const Readiness& readiness, AdminFacts facts, const policy::Holder& policies, const audit::AuditLog& audit,
             const redact::Redactor& redactor, Metrics& metrics)
    : readiness_(readiness),
      facts_(std::move(facts)),
      policies_(policies),
      audit_(audit),
      redactor_(redactor),
      metrics_(metrics) {}

std::optional<HttpResponse> Admin::Admit(const rpc::RequestHead& head, const Peer& /*peer*/) {
  if (head.method != "GET") {
    HttpResponse response = ErrorResponse(405, "only GET is answered here");
    response.allow = "GET";
    return response;
  }
  if (head.content_length > 0) return ErrorResponse(413, "a GET has no body here");
  if (head.target == "/healthz") return ErrorResponse(200, "ok");
  if (head.target == "/readyz") return Ready();
  if (head.target == "/metrics") {
    if (facts_.measure) facts_.measure();
    HttpResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics_.Exposition();
    return response;
  }
  return ErrorResponse(404, "there are /healthz, /readyz and /metrics");
}

void Admin::Handle(HttpRequest request) {
  request.reply->Send(ErrorResponse(404, "there are /healthz, /readyz and /metrics"));
}

// A plugin that is down, or a policy file that is wrong, is told but does not make the program unready: the other
// plugins, and the policies in force, go on.
HttpResponse Admin::Ready() const {
  const bool draining = readiness_.draining.load();
  const bool failed = audit_.failed();
  const bool ready = readiness_.started.load() && !draining && !failed;
  Value detail = Value::Object();
  detail.Set("ready", Value::Bool(ready));
  if (!readiness_.started.load()) detail.Set("reason", Value::String(std::string(facts_.starting)));
  if (draining) detail.Set("reason", Value::String("draining"));
  if (failed) detail.Set("reason", Value::String("the audit log cannot be written"));
  Value plugins = Value::Array();
  for (const PluginState& plugin : facts_.plugins()) {
    Value entry = Value::Object();
    entry.Set("name", Value::String(plugin.name));
    entry.Set("tier", Value::String(std::string(plugin.tier)));
    entry.Set("ready", Value::Bool(plugin.health.ready));
    if (!plugin.health.reason.empty()) entry.Set("reason", Value::String(EscapeForTerminal(plugin.health.reason)));
    plugins.items.push_back(std::move(entry));
  }
  detail.Set("plugins", std::move(plugins));
  const auto in_force = policies_.Get();
  Value policy = Value::Object();
  policy.Set("digest", Value::String(in_force->Digest()));
  Value names = Value::Array();
  for (const std::string& name : in_force->Names()) names.items.push_back(Value::String(name));
  policy.Set("policies", std::move(names));
  if (const auto broken = policies_.Broken()) policy.Set("reloadError", Value::String(redactor_.Redact(*broken)));
  detail.Set("policy", std::move(policy));
  if (facts_.more) facts_.more(detail);
  HttpResponse response;
  response.status = ready ? 200 : 503;
  response.body = ToJson(detail) + "\n";
  return response;
}

Result<std::unique_ptr<HttpServer>> StartAdmin(ListenAddress& address, Admin& admin, Metrics& metrics) {
  std::vector<UniqueFd> listeners;
  BULKHEAD_ASSIGN(UniqueFd fd, Listen(address));
  listeners.push_back(std::move(fd));
  ServerOptions options;
  options.name = "admin";
  options.limits.connections = 32;
  options.limits.requests = 1;
  return HttpServer::Start(std::move(listeners), std::move(options), admin, metrics);
}

}  // namespace bulkhead::gateway

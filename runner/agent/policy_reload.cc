#include "runner/agent/policy_reload.h"

#include <string>
#include <utility>

namespace bulkhead::agent {

namespace {

constexpr std::string_view kBroken = "bulkhead_policy_reload_error";

}  // namespace

void ExposePolicyReload(Metrics& metrics) {
  metrics.Set(kBroken, "", 0);
}

void TellReload(std::string_view what, const Status& status, const HostServices& services) {
  services.metrics->Add("bulkhead_reloads_total",
                        MetricLabel("what", what) + "," + MetricLabel("result", status.ok() ? "ok" : "kept"));
  if (!status.ok())
    services.log->Log(LogLevel::kError, "not reloaded: what was in force stays",
                      {{"what", std::string(what)}, {"reason", services.redactor->Redact(status.error().message())}});
}

policy::Reload ReloadPolicies(policy::Holder& policies, const HostServices& services) {
  policy::Reload reload = policies.Refresh();
  const bool kept = reload.kind == policy::Reload::Kind::kKept;
  services.metrics->Set(kBroken, "", kept ? 1 : 0);
  if (reload.kind == policy::Reload::Kind::kUnchanged) return reload;
  TellReload("policy", kept ? Status(Error(Code::kInvalidInput, reload.error)) : OkStatus(), services);
  Value fields = Value::Object();
  fields.Set("ok", Value::Bool(!kept));
  fields.Set("policyDigest", Value::String(reload.digest));
  if (kept) fields.Set("reason", Value::String(services.redactor->Redact(reload.error)));
  services.audit->Append({audit::Event::kPolicyReload, std::move(fields)},
                         [on_failure = services.on_audit_failure](const Status& status) {
                           if (!status.ok()) on_failure(status.error());
                         });
  return reload;
}

}  // namespace bulkhead::agent

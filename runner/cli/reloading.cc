#include "runner/cli/reloading.h"

#include <string>
#include <utility>

namespace bulkhead::cli {

Reloading::Reloading(Metrics& metrics, const Logger& log, const redact::Redactor& redactor, audit::AuditLog& audit,
                     std::function<void(const Error&)> on_failure)
    : metrics_(metrics), log_(log), redactor_(redactor), audit_(audit), on_failure_(std::move(on_failure)) {
  metrics_.Set("bulkhead_policy_reload_error", "", 0);
}

void Reloading::Told(std::string_view what, const Status& status) {
  metrics_.Add("bulkhead_reloads_total",
               MetricLabel("what", what) + "," + MetricLabel("result", status.ok() ? "ok" : "kept"));
  if (!status.ok())
    log_.Log(LogLevel::kError, "not reloaded: what was in force stays",
             {{"what", std::string(what)}, {"reason", redactor_.Redact(status.error().message())}});
}

void Reloading::Policies(policy::Holder& policies) {
  const policy::Reload reload = policies.Refresh();
  const bool kept = reload.kind == policy::Reload::Kind::kKept;
  metrics_.Set("bulkhead_policy_reload_error", "", kept ? 1 : 0);
  if (reload.kind == policy::Reload::Kind::kUnchanged) return;
  Told("policy", kept ? Status(Error(Code::kInvalidInput, reload.error)) : OkStatus());
  Value fields = Value::Object();
  fields.Set("ok", Value::Bool(!kept));
  fields.Set("policyDigest", Value::String(reload.digest));
  if (kept) fields.Set("reason", Value::String(redactor_.Redact(reload.error)));
  audit_.Append({audit::Event::kPolicyReload, std::move(fields)}, [this](const Status& status) {
    if (!status.ok()) on_failure_(status.error());
  });
}

}  // namespace bulkhead::cli

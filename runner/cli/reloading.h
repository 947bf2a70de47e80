// Files that are read again while the program runs: what came of it is counted, logged, and where it is about
// policies recorded.
#pragma once

#include <functional>
#include <string_view>

#include "policy/holder.h"
#include "runner/audit/audit_log.h"
#include "runner/base/log.h"
#include "runner/base/metrics.h"
#include "runner/redact/redactor.h"

namespace bulkhead::cli {

// Counts bulkhead_reloads_total{what,result} with result "ok" or "kept", and sets bulkhead_policy_reload_error.
// Thread-safe.
class Reloading {
 public:
  // Everything outlives it. `on_failure`: a record could not be written.
  Reloading(Metrics& metrics, const Logger& log, const redact::Redactor& redactor, audit::AuditLog& audit,
            std::function<void(const Error&)> on_failure);

  // Reads the policies again; a file that is wrong leaves those in force.
  void Policies(policy::Holder& policies);
  // Tells that `what` was read again, or why what was in force stays.
  void Told(std::string_view what, const Status& status);

 private:
  Metrics& metrics_;
  const Logger& log_;
  const redact::Redactor& redactor_;
  audit::AuditLog& audit_;
  const std::function<void(const Error&)> on_failure_;
};

}  // namespace bulkhead::cli

// A reload of the policies, told as loudly as it has to be: a record, two metrics, and a line of the log when the new
// files are not in force.
#pragma once

#include "policy/holder.h"
#include "runner/agent/plugin_host.h"
#include "runner/base/metrics.h"

namespace bulkhead::agent {

// Reads the files again, of every kind that `policies` holds. Unless nothing has changed: appends policy.reload (an
// audit log that cannot be written ends the agent by services.on_audit_failure) and counts bulkhead_reloads_total. Uses
// of `services` only the redactor, the audit log, the metrics, the log and on_audit_failure, which outlive the record's
// writing. Thread-safe.
policy::Reload ReloadPolicies(policy::Holder& policies, const HostServices& services);

// bulkhead_reloads_total{what, result="ok"|"kept"}, and a line of the log when what was in force stays. For what is
// not a policy and has no record: tokens, certificates.
void TellReload(std::string_view what, const Status& status, const HostServices& services);

// Shows bulkhead_policy_reload_error from the start on, as 0, so that an alert need not tell absent from good.
void ExposePolicyReload(Metrics& metrics);

}  // namespace bulkhead::agent

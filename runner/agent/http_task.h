// An HTTP template on its way: executed under the egress policy, reported and recorded like a plugin's call.
#pragma once

#include "runner/agent/task.h"
#include "runner/audit/audit_log.h"
#include "runner/base/clock.h"
#include "runner/base/metrics.h"
#include "runner/http/executor.h"

namespace bulkhead::agent {

// The lane of HTTP templates in the scheduler; no plugin can have this name.
constexpr std::string_view kHttpLane = "(http)";

// Fills `report`, which names the task already, and returns its record (not redacted yet). `executor` may be null:
// then the task ends in Error.
audit::Record RunHttpTask(const Task& task, http::Executor* executor, SteadyTime deadline, Metrics& metrics,
                          TaskReport& report);

}  // namespace bulkhead::agent

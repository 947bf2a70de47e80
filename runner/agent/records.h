// The audit records of the agent, as runner/audit/FORMAT.md lists them, and the metrics beside them.
#pragma once

#include <string_view>

#include "runner/agent/judge.h"
#include "runner/agent/plugin_host.h"
#include "runner/agent/task.h"
#include "runner/audit/audit_log.h"
#include "runner/base/metrics.h"
#include "runner/http/executor.h"

namespace bulkhead::agent {

// Who was called, and by whom.
struct Callee {
  std::string_view plugin;
  std::string_view tier;
  std::string_view method;
  std::string_view caller = {};  // of the gateway: "uri:spiffe://...", "token", "loopback"; empty: the agent itself
};

// One call of one plugin. `decided` is false when it answered "not mine". Of a hook, `task` has what the call
// was about, and `report` no phase.
audit::Record CallRecord(const Task& task, const Callee& callee, const HostCall& call, const Judgement& judgement,
                         const TaskReport& report, bool decided);

// One HTTP template.
audit::Record HttpRecord(const Task& task, const http::HttpOutcome& outcome, const TaskReport& report);

// A task that ended without a plugin's answer.
audit::Record RefusalRecord(const Task& task, const TaskReport& report);

// A task whose end was in the journal.
audit::Record RecoveredRecord(const Task& task, const TaskReport& report);

void CountCall(std::string_view plugin, const rpc::CallResult& result, const Judgement& judgement,
               const TaskReport& report, Metrics& metrics);
void CountHttp(const http::HttpOutcome& outcome, const TaskReport& report, Metrics& metrics);

}  // namespace bulkhead::agent

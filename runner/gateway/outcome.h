// Outcome: what a call of the gateway came to: its answer, and the records that must be durable before it leaves.
#pragma once

#include <string>
#include <vector>

#include "runner/audit/audit_log.h"
#include "runner/base/clock.h"
#include "runner/base/metrics.h"
#include "runner/gateway/decider.h"
#include "runner/gateway/http_server.h"
#include "runner/gateway/plugin.h"
#include "runner/gateway/rpc_call.h"
#include "runner/gateway/state_memory.h"
#include "runner/redact/redactor.h"

namespace bulkhead::gateway {

struct Outcome {
  HttpResponse response;
  std::vector<audit::Record> records;  // redacted only once more, by who writes them
};

// What both kinds of calls need. Everything outlives the call.
struct Services {
  std::vector<Plugin*> plugins;  // in the order in which they are asked
  Decider* decider = nullptr;
  const redact::Redactor* redactor = nullptr;
  Metrics* metrics = nullptr;
  StateMemory* memory = nullptr;
};

// template.execute: the plugins are asked in turn until one has a result for the node. A refusal or a failure is
// a result too: the workflow is to show why. `{}` when the template is nobody's.
// `key`: the digest of the request; `caller`: for the records.
Outcome Execute(const RpcCall& call, const std::string& key, const std::string& caller, SteadyTime deadline,
                const Services& services);

// A hook of the controller: every plugin that serves it is asked once, in order, each with what those before it
// have made of the state. The answer has all changes together, or the hook is refused as a whole: 422 with
// the reason for a refusal (unless the policies say onDeny: drop-reply: then that reply is left out), 502 or 504 for a
// plugin that failed, which the controller turns into an error of the workflow or the node.
Outcome RunHook(const RpcCall& call, const std::string& caller, SteadyTime deadline, const Services& services);

}  // namespace bulkhead::gateway

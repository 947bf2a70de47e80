#include <utility>

#include "runner/agent/records.h"
#include "runner/agent/report.h"
#include "runner/base/text.h"
#include "runner/gateway/outcome.h"

namespace bulkhead::gateway {

namespace {

using agent::Judgement;
using agent::Layer;

constexpr std::string_view kMethod = "template.execute";

agent::Task TaskOf(const RpcCall& call) {
  agent::Task task;
  task.workflow = call.workflow;
  task.template_name = call.template_name;
  task.plugin_keys = call.plugin_keys;
  task.request = call.body;
  return task;
}

// The plugins to ask, in order: the one that declares the template's key, else all that declare nothing.
std::vector<Plugin*> Route(const RpcCall& call, const std::vector<Plugin*>& plugins) {
  std::vector<Plugin*> undeclared;
  for (Plugin* plugin : plugins) {
    if (!plugin->Serves(kMethod)) continue;
    const std::optional<bool> handles = plugin->Handles(call.plugin_keys);
    if (handles.has_value() && *handles) return {plugin};
    if (!handles.has_value()) undeclared.push_back(plugin);
  }
  return undeclared;
}

Value ReplyOf(const agent::TaskReport& report) {
  Value reply = Value::Object();
  reply.Set("node", report.result);
  if (report.requeue.has_value()) reply.Set("requeue", Value::String(FormatGoDuration(*report.requeue)));
  return reply;
}

class Execution {
 public:
  Execution(const RpcCall& call, const std::string& key, const std::string& caller, SteadyTime deadline,
            const Services& services)
      : call_(call), key_(key), caller_(caller), deadline_(deadline), services_(services), task_(TaskOf(call)) {}

  Outcome Run() {
    kept_ = services_.memory->Take(key_, std::chrono::steady_clock::now());
    for (Plugin* plugin : Route(call_, services_.plugins)) {
      if (Ask(*plugin)) return std::move(outcome_);
    }
    outcome_.response.body = "{}";
    return std::move(outcome_);
  }

 private:
  // True when that decides the call.
  bool Ask(Plugin& plugin) {
    const auto call = plugin.Call(kMethod, call_.body, deadline_, rpc::Retry::kAsOptions);
    if (!call.has_value()) {
      services_.metrics->Add("bulkhead_gateway_busy_total", MetricLabel("plugin", plugin.name()));
      outcome_.response = ErrorResponse(503, "plugin \"" + plugin.name() + "\" has too many calls at once; ask again");
      if (kept_.has_value()) services_.memory->Keep(key_, std::move(*kept_), std::chrono::steady_clock::now());
      return true;
    }
    agent::TaskReport report;
    report.plugin = plugin.name();
    report.tier = plugin.tier();
    Judgement judgement;
    const bool decided = Decide(plugin, *call, judgement, report);
    outcome_.records.push_back(
        agent::CallRecord(task_, {plugin.name(), plugin.tier(), kMethod, caller_}, *call, judgement, report, decided));
    agent::CountCall(plugin.name(), call->result, judgement, report, *services_.metrics);
    if (decided) outcome_.response.body = ToJson(ReplyOf(report));
    return decided;
  }

  bool Decide(Plugin& plugin, const agent::HostCall& call, Judgement& judgement, agent::TaskReport& report) {
    const redact::Redactor& redactor = *services_.redactor;
    if (call.result.outcome == rpc::Outcome::kReply) return Judge(plugin, call.result.body, judgement, report);
    if (call.sandbox_reason.has_value()) {
      agent::EndWith("Failed", Layer::kSandbox, redactor.Redact(*call.sandbox_reason), report);
      return true;
    }
    if (call.result.outcome == rpc::Outcome::kNotSupported) return false;
    agent::EndWith("Failed", Layer::kRpc, redactor.Redact(call.result.reason), report);
    return true;
  }

  bool Judge(const Plugin& plugin, std::string_view reply, Judgement& judgement, agent::TaskReport& report) {
    // Another plugin's replies are no state of this one's.
    const bool has_state = kept_.has_value() && kept_->plugin == plugin.name();
    Value sent = Value::Object();
    if (has_state) sent.Set("node", kept_->node);
    const uint32_t requeues = has_state ? kept_->requeues : 0;
    judgement = services_.decider->Decide({&call_, plugin.name(), plugin.image_digest(), &sent, requeues}, reply);
    report.allowed = judgement.allowed;
    report.refused = judgement.refused;
    report.masked = judgement.masked;
    switch (judgement.kind) {
      case Judgement::Kind::kNotMine: return false;
      case Judgement::Kind::kRefused: agent::EndWith("Error", judgement.layer, judgement.message, report); return true;
      case Judgement::Kind::kApplied:
        agent::EndWithEffective(judgement.effective, judgement.requeue, report);
        if (!report.final) KeepState(plugin, requeues, report);
        return true;
    }
    return true;
  }

  void KeepState(const Plugin& plugin, uint32_t requeues, agent::TaskReport& report) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (services_.memory->Keep(key_, {plugin.name(), report.result, requeues + 1, now + *report.requeue}, now)) return;
    agent::EndWith("Error", Layer::kPolicy,
                   "too many tasks wait to be run again: what this one has reported cannot be kept, and without it "
                   "its next reply could not be judged",
                   report);
  }

  const RpcCall& call_;
  const std::string& key_;
  const std::string& caller_;
  const SteadyTime deadline_;
  const Services& services_;
  const agent::Task task_;
  std::optional<KeptState> kept_;
  Outcome outcome_;
};

}  // namespace

Outcome Execute(const RpcCall& call, const std::string& key, const std::string& caller, SteadyTime deadline,
                const Services& services) {
  return Execution(call, key, caller, deadline, services).Run();
}

}  // namespace bulkhead::gateway

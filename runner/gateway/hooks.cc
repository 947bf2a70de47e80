#include <utility>

#include "runner/agent/records.h"
#include "runner/agent/report.h"
#include "runner/base/merge_patch.h"
#include "runner/base/text.h"
#include "runner/gateway/outcome.h"
#include "runner/gateway/owners.h"

namespace bulkhead::gateway {

namespace {

using agent::Judgement;
using agent::Layer;

// The member of the request that the reply changes, and that the next plugin sees changed; empty: none.
std::string_view Changed(Method method) {
  switch (method) {
    case Method::kWorkflowPreOperate: return "workflow";
    case Method::kNodePreExecute: return "node";
    default: return "";
  }
}

class Hook {
 public:
  Hook(const RpcCall& call, const std::string& caller, SteadyTime deadline, const Services& services)
      : call_(call),
        name_(MethodName(call.method)),
        caller_(caller),
        deadline_(deadline),
        services_(services),
        request_(call.document),
        original_(Value::Object()) {
    task_.workflow = call.workflow;
    task_.node = call.node;
    task_.template_name = call.template_name;
    task_.request = call.body;
    const std::string_view changed = Changed(call.method);
    if (const Value* const state = call.document.Find(changed)) original_.Set(changed, *state);
    sent_ = original_;
  }

  Outcome Run() {
    for (Plugin* plugin : services_.plugins) {
      if (!plugin->Serves(name_)) continue;
      if (!Ask(*plugin)) return std::move(outcome_);
      if (NodeIsFulfilled()) break;
    }
    outcome_.response = {};
    outcome_.response.body = ToJson(MakeMergePatch(original_, sent_));
    return std::move(outcome_);
  }

 private:
  // False: the hook ends here, refused.
  bool Ask(Plugin& plugin) {
    const auto call = plugin.Call(name_, task_.request, deadline_, rpc::Retry::kNever);
    if (!call.has_value()) {
      services_.metrics->Add("bulkhead_gateway_busy_total", MetricLabel("plugin", plugin.name()));
      outcome_.response = ErrorResponse(503, "plugin \"" + plugin.name() + "\" has too many calls at once");
      return false;
    }
    agent::TaskReport report;
    Judgement judgement;
    const bool decided = Decide(plugin, *call, judgement, report);
    outcome_.records.push_back(
        agent::CallRecord(task_, {plugin.name(), plugin.tier(), name_, caller_}, *call, judgement, report, decided));
    agent::CountCall(plugin.name(), call->result, judgement, report, *services_.metrics);
    // The policy may ask that a reply it refuses be as if it had not been given.
    if (report.stopped_by == Layer::kNone || std::exchange(dropped_, false)) return true;
    // A transaction: nothing of those before it is applied either.
    for (audit::Record& record : outcome_.records) record.fields.Set("applied", Value::Bool(false));
    return false;
  }

  // Whether the plugin had something to say. What stops the hook is in the report.
  bool Decide(const Plugin& plugin, const agent::HostCall& call, Judgement& judgement, agent::TaskReport& report) {
    const redact::Redactor& redactor = *services_.redactor;
    switch (call.result.outcome) {
      case rpc::Outcome::kReply: return Judge(plugin, call.result.body, judgement, report);
      case rpc::Outcome::kNotSupported: return false;
      case rpc::Outcome::kTransient:
      case rpc::Outcome::kFatal: break;
    }
    const bool late = std::chrono::steady_clock::now() >= deadline_;
    if (call.sandbox_reason.has_value()) {
      Stop(plugin, Layer::kSandbox, 502, redactor.Redact(*call.sandbox_reason), report);
    } else {
      Stop(plugin, Layer::kRpc, late ? 504 : 502, redactor.Redact(call.result.reason), report);
    }
    return true;
  }

  bool Judge(const Plugin& plugin, std::string_view reply, Judgement& judgement, agent::TaskReport& report) {
    judgement = services_.decider->Decide({&call_, plugin.name(), plugin.image_digest(), &sent_, 0}, reply);
    report.masked = judgement.masked;
    if (judgement.kind == Judgement::Kind::kNotMine) return false;
    if (judgement.kind == Judgement::Kind::kRefused) {
      Stop(plugin, judgement.layer, 422, judgement.message, report);
      dropped_ = judgement.on_deny == policy::OnDeny::kDropReply;
      return true;
    }
    const std::vector<Owners::Conflict> conflicts = owners_.Take(plugin.name(), judgement.verdicts);
    if (!conflicts.empty()) {
      RefuseConflicts(plugin, conflicts, judgement, report);
      return true;
    }
    Apply(judgement.patch);
    return true;
  }

  // One plugin's change of what another one changed: the whole hook is refused, with both names.
  void RefuseConflicts(const Plugin& plugin, const std::vector<Owners::Conflict>& conflicts, Judgement& judgement,
                       agent::TaskReport& report) {
    judgement.kind = Judgement::Kind::kRefused;
    judgement.layer = Layer::kPolicy;
    std::string message;
    for (const Owners::Conflict& conflict : conflicts) {
      for (policy::Verdict& verdict : judgement.verdicts) {
        if (verdict.path != conflict.path || !verdict.allowed) continue;
        verdict.allowed = false;
        verdict.by = {"", "gateway.owner", ""};
        verdict.reason = "plugin \"" + conflict.owner + "\" changed this leaf before, in the same call";
        --judgement.allowed;
        ++judgement.refused;
      }
      message += (message.empty() ? "" : "; ") + conflict.path + ": plugin \"" + plugin.name() +
                 "\" may not change what plugin \"" + conflict.owner + "\" changed before it [gateway.owner]";
    }
    judgement.message = "reply refused: " + message;
    Stop(plugin, Layer::kPolicy, 422, judgement.message, report);
  }

  // The state for the plugins that follow, and the answer so far.
  void Apply(const Value& patch) {
    if (patch.members.empty()) return;
    ApplyMergePatch(sent_, patch);
    const std::string_view changed = Changed(call_.method);
    const Value* const state = changed.empty() ? nullptr : sent_.Find(changed);
    if (state == nullptr) return;
    request_.Set(changed, *state);
    task_.request = ToJson(request_);
  }

  void Stop(const Plugin& plugin, Layer layer, int status, const std::string& message, agent::TaskReport& report) {
    report.stopped_by = layer;
    report.message = message;
    outcome_.response = ErrorResponse(status, std::string(name_) + ": plugin \"" + plugin.name() + "\": " + message);
  }

  // A node with an end is not executed: nobody else has to be asked.
  bool NodeIsFulfilled() const {
    if (call_.method != Method::kNodePreExecute) return false;
    const Value* const node = sent_.Find("node");
    const Value* const phase = node == nullptr ? nullptr : node->Find("phase");
    return phase != nullptr && agent::IsFulfilled(phase->text);
  }

  const RpcCall& call_;
  const std::string_view name_;
  const std::string& caller_;
  const SteadyTime deadline_;
  const Services& services_;

  agent::Task task_;  // its request is what the next plugin gets
  Value request_;
  Value original_;        // the state that Argo sent, in the form of a reply
  Value sent_;            // with all changes so far: what the next reply is judged against
  bool dropped_ = false;  // the last reply was refused, and is only left out
  Owners owners_;
  Outcome outcome_;
};

}  // namespace

Outcome RunHook(const RpcCall& call, const std::string& caller, SteadyTime deadline, const Services& services) {
  return Hook(call, caller, deadline, services).Run();
}

}  // namespace bulkhead::gateway

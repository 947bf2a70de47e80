#include "policy/tools/call_context.h"

#include <algorithm>

#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

void ReadWorkflow(const Value& value, CallContext& call, Diagnostics& diagnostics) {
  Fields fields(value, "workflow", diagnostics);
  for (const std::string_view key : {"name", "namespace", "uid"}) fields.String(key);
  for (const std::string_view key : {"labels", "annotations"}) {
    const Value* const map = fields.OfKind(key, Value::Kind::kObject);
    if (map == nullptr) continue;
    for (const Member& member : map->members) {
      if (!member.value.is_string() && !member.value.is_null())
        diagnostics.Add(member.value.at, "a label or annotation is a string; quote it");
    }
  }
  fields.Done();
  MergeInto(call.workflow, value);
}

}  // namespace

std::string_view CallContext::WorkflowText(std::string_view key) const {
  const Value* const member = workflow.Find(key);
  return member == nullptr ? std::string_view() : std::string_view(member->text);
}

std::string_view CallContext::TemplateName() const {
  const Value* const name = tmpl.Find("name");
  return name == nullptr ? std::string_view() : std::string_view(name->text);
}

Call CallContext::AsCall(const Value& state, int64_t default_now, uint32_t requeues) const {
  Call call;
  call.subject.plugin = plugin;
  call.subject.rpc = rpc;
  call.subject.name_space = WorkflowText("namespace");
  call.subject.workflow = WorkflowText("name");
  call.subject.template_name = TemplateName();
  call.subject.plugin_digest = digest;
  call.subject.workflow_labels = workflow.Find("labels");
  call.sent = &state;
  call.template_spec = &tmpl;
  call.now = now != 0 ? now : default_now;
  call.requeues = requeues;
  return call;
}

void ReadCallContext(const Value& value, CallContext& call, Diagnostics& diagnostics) {
  Fields fields(value, "context", diagnostics);
  if (auto plugin = fields.String("plugin")) call.plugin = *plugin;
  if (auto digest = fields.String("digest")) call.digest = *digest;
  if (auto now = fields.String("now")) {
    constexpr int64_t kDay = 86'400;
    const auto day = Date::Parse(*now);
    if (!day.has_value()) diagnostics.Add(fields.Any("now")->at, "context.now must be a day such as \"2026-12-31\"");
    if (day.has_value()) call.now = day->ends - kDay;
  }
  if (auto rpc = fields.String("rpc")) {
    call.rpc = *rpc;
    if (!RpcByName(*rpc).has_value())
      diagnostics.Add(fields.Any("rpc")->at, "context.rpc: Argo has no method \"" + EscapeForTerminal(*rpc) + "\"" +
                                                 DidYouMean(*rpc, RpcNames()));
  }
  if (const Value* workflow = fields.OfKind("workflow", Value::Kind::kObject))
    ReadWorkflow(*workflow, call, diagnostics);
  if (const Value* tmpl = fields.OfKind("template", Value::Kind::kObject)) MergeInto(call.tmpl, *tmpl);
  if (const Value* sent = fields.OfKind("sent", Value::Kind::kObject)) MergeInto(call.sent, *sent);
  if (const Value* node = fields.OfKind("node", Value::Kind::kObject)) {
    Value state = Value::Object();
    state.Set("node", *node);
    MergeInto(call.sent, state);
  }
  // No node yet, whatever the context that this one changes has.
  if (const Value* node = value.Find("node"); node != nullptr && node->is_null())
    std::erase_if(call.sent.members, [](const Member& member) { return member.key == "node"; });
  fields.Done();
}

void MergeInto(Value& target, const Value& patch) {
  if (!patch.is_object() || !target.is_object()) {
    target = patch;
    return;
  }
  for (const Member& member : patch.members) {
    Value* const current = target.Find(member.key);
    if (member.value.is_null()) {
      std::erase_if(target.members, [&](const Member& existing) { return existing.key == member.key; });
    } else if (current != nullptr) {
      MergeInto(*current, member.value);
    } else {
      target.members.push_back(member);
    }
  }
}

}  // namespace bulkhead::policy::tools

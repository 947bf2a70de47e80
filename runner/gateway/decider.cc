#include "runner/gateway/decider.h"

#include <utility>

namespace bulkhead::gateway {

Ruling PolicyDecider::Decide(const Question& question, std::string_view reply) {
  const RpcCall& call = *question.call;
  const policy::Subject subject = {question.plugin, MethodName(call.method), call.workflow.name_space,
                                   call.workflow.name, call.template_name};
  Ruling ruling;
  const Value nothing = Value::Object();
  const Value* const node = question.sent == nullptr ? nullptr : question.sent->Find("node");
  ruling.judgement = agent::Judge(reply, node == nullptr ? nothing : *node, subject, *policies_.Get(), *redactor_);
  return ruling;
}

}  // namespace bulkhead::gateway

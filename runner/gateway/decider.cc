#include "runner/gateway/decider.h"

#include <chrono>

namespace bulkhead::gateway {

agent::Judgement PolicyDecider::Decide(const Question& question, std::string_view reply) {
  const RpcCall& about = *question.call;
  policy::Call call;
  call.subject = {question.plugin, MethodName(about.method), about.workflow.name_space, about.workflow.name,
                  about.template_name};
  call.subject.plugin_digest = question.plugin_digest;
  call.subject.workflow_labels = about.WorkflowLabels();
  call.sent = question.sent;
  call.template_spec = about.Template();
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  call.now = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  call.requeues = question.requeues;
  return agent::Judge(reply, call, *policies_.Get(), *redactor_);
}

}  // namespace bulkhead::gateway

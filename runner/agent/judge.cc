#include "runner/agent/judge.h"

#include <optional>
#include <utility>

namespace bulkhead::agent {
namespace {

constexpr size_t kViolationsInMessage = 4;
constexpr size_t kMostKept = 64U << 10U;  // bytes of a reply

void AppendViolation(const policy::Verdict& verdict, bool by_decode, std::string& message) {
  if (by_decode) {
    message += verdict.by.rule + ": " + verdict.reason;
    return;
  }
  if (!verdict.path.empty()) message += verdict.path + ": ";
  message += verdict.reason + " [" + verdict.by.rule;
  if (!verdict.by.place.empty()) message += " at " + verdict.by.place;
  message += "]";
}

std::string RefusalMessage(const std::vector<policy::Verdict>& verdicts, bool by_decode) {
  std::string message = by_decode ? "reply refused before policy: " : "reply refused by policy: ";
  size_t shown = 0;
  size_t refused = 0;
  for (const policy::Verdict& verdict : verdicts) {
    if (verdict.allowed || ++refused > kViolationsInMessage) continue;
    if (shown++ > 0) message += "; ";
    AppendViolation(verdict, by_decode, message);
  }
  if (refused > shown) message += "; and " + std::to_string(refused - shown) + " more";
  return message;
}

void TakeVerdicts(const policy::Decision& decision, const redact::Redactor& redactor, Judgement& judgement) {
  judgement.verdicts.assign(decision.verdicts.begin(), decision.verdicts.end());
  judgement.allowed = decision.allowed;
  judgement.refused = decision.refused;
  judgement.on_deny = decision.on_deny;
  for (policy::Verdict& verdict : judgement.verdicts) {
    // A path can hold a name that the plugin chose.
    verdict.path = redactor.Redact(verdict.path);
    if (!verdict.reason.empty()) verdict.reason = redactor.Redact(verdict.reason);
    if (!verdict.value.empty()) verdict.value = redactor.Redact(verdict.value);
    // A judgement may outlive the policies.
    verdict.policy = nullptr;
    verdict.rule = nullptr;
  }
}

}  // namespace

Value AsSent(const Value& node) {
  Value document = Value::Object();
  if (!node.members.empty()) document.Set("node", node);
  return document;
}

Judgement Judge(std::string_view reply, const policy::Call& call, const policy::PolicySet& policies,
                const redact::Redactor& redactor) {
  // A worker's scratch is kept for its next reply, but not what a large one needed.
  thread_local policy::Evaluator kept;
  std::optional<policy::Evaluator> once;
  policy::Evaluator& evaluator = reply.size() <= kMostKept ? kept : once.emplace();
  const policy::Decision& decision = evaluator.Decide(policies, call, reply);
  Judgement judgement;
  TakeVerdicts(decision, redactor, judgement);
  if (decision.kind == policy::Decision::Kind::kNotMine) {
    judgement.kind = Judgement::Kind::kNotMine;
    return judgement;
  }
  if (decision.kind == policy::Decision::Kind::kRefused) {
    judgement.layer = decision.by_decode ? Layer::kDecode : Layer::kPolicy;
    judgement.message = RefusalMessage(judgement.verdicts, decision.by_decode);
    return judgement;
  }
  // From here on every leaf that changes is one that a rule allows.
  judgement.kind = Judgement::Kind::kApplied;
  judgement.requeue = decision.requeue;
  judgement.effective = evaluator.Effective();
  if (call.subject.rpc == policy::RpcName(policy::Rpc::kTemplateExecute)) {
    Value* const node = judgement.effective.Find("node");
    judgement.effective = node == nullptr ? Value::Object() : Value(std::move(*node));
  } else {
    judgement.patch = evaluator.MergePatch();
    redactor.RedactTree(judgement.patch);
  }
  judgement.masked = redactor.RedactTree(judgement.effective);
  return judgement;
}

}  // namespace bulkhead::agent

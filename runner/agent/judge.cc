#include "runner/agent/judge.h"

#include <utility>

#include "runner/rpc/reply.h"

namespace bulkhead::agent {
namespace {

constexpr size_t kViolationsInMessage = 4;

// JSON merge patch (RFC 7386), which is how results reach the API server.
void Merge(Value& target, const Value& patch) {
  if (!patch.is_object() || !target.is_object()) {
    target = patch;
    return;
  }
  for (const Member& member : patch.members) {
    Value* const current = target.Find(member.key);
    if (member.value.is_null()) {
      std::erase_if(target.members, [&](const Member& existing) { return existing.key == member.key; });
    } else if (current != nullptr) {
      Merge(*current, member.value);
    } else {
      target.members.push_back(member);
    }
  }
}

// The state in the form of a reply, which is what policy paths speak of.
Value AsDocument(const Value& node) {
  Value document = Value::Object();
  if (!node.members.empty()) document.Set("node", node);
  return document;
}

Judgement RefusedByDecode(const std::vector<rpc::DecodeFault>& faults, const redact::Redactor& redactor) {
  Judgement judgement;
  judgement.layer = Layer::kDecode;
  judgement.refused = faults.size();
  judgement.message = "reply refused before policy: ";
  for (size_t i = 0; i < faults.size(); ++i) {
    const rpc::DecodeFault& fault = faults[i];
    policy::Verdict& verdict = judgement.verdicts.emplace_back();
    verdict.path = redactor.Redact(fault.path);
    verdict.by.rule = fault.id;
    verdict.reason = redactor.Redact(fault.message);
    if (i < kViolationsInMessage) {
      if (i > 0) judgement.message += "; ";
      judgement.message += fault.id + ": " + verdict.reason;
    }
  }
  if (faults.size() > kViolationsInMessage) {
    judgement.message += "; and " + std::to_string(faults.size() - kViolationsInMessage) + " more";
  }
  return judgement;
}

std::string PolicyMessage(const std::vector<policy::Verdict>& verdicts) {
  std::string message = "reply refused by policy: ";
  size_t shown = 0;
  size_t refused = 0;
  for (const policy::Verdict& verdict : verdicts) {
    if (verdict.allowed) continue;
    if (++refused > kViolationsInMessage) continue;
    if (shown++ > 0) message += "; ";
    if (!verdict.path.empty()) message += verdict.path + ": ";
    message += verdict.reason + " [" + verdict.by.rule;
    if (!verdict.by.place.empty()) message += " at " + verdict.by.place;
    message += "]";
  }
  if (refused > shown) message += "; and " + std::to_string(refused - shown) + " more";
  return message;
}

void TakeVerdicts(policy::Decision decision, const redact::Redactor& redactor, Judgement& judgement) {
  judgement.verdicts = std::move(decision.verdicts);
  judgement.allowed = decision.allowed_count;
  judgement.refused = decision.refused_count;
  for (policy::Verdict& verdict : judgement.verdicts) {
    // A path can hold a name that the plugin chose.
    verdict.path = redactor.Redact(verdict.path);
    if (!verdict.allowed) verdict.reason = redactor.Redact(verdict.reason);
  }
}

}  // namespace

Judgement Judge(std::string_view reply, const Value& before, const policy::Subject& subject,
                const policy::PolicySet& policies, const redact::Redactor& redactor) {
  rpc::Decoded decoded = rpc::DecodeExecuteReply(reply);
  if (!decoded.reply.has_value()) return RefusedByDecode(decoded.faults, redactor);
  // From here on the reply is a tree of Argo's own types.
  Judgement judgement;
  if (!decoded.reply->mine) {
    judgement.kind = Judgement::Kind::kNotMine;
    return judgement;
  }
  const Value sent = AsDocument(before);
  Value proposed = sent;
  Merge(proposed, decoded.reply->document);

  auto mutations = policy::Diff(sent, proposed);
  if (!mutations.ok()) {
    judgement.layer = Layer::kPolicy;
    judgement.refused = 1;
    judgement.message = "reply refused by policy: " + redactor.Redact(mutations.error().message());
    return judgement;
  }
  policy::Decision decision =
      policies.Decide(subject, *mutations, policy::MeasureReply(decoded.reply->document, reply.size(), proposed));
  const bool allowed = decision.allowed;
  TakeVerdicts(std::move(decision), redactor, judgement);
  if (!allowed) {
    judgement.layer = Layer::kPolicy;
    judgement.message = PolicyMessage(judgement.verdicts);
    return judgement;
  }
  // From here on every leaf of `proposed` is one that a rule allows.
  judgement.kind = Judgement::Kind::kApplied;
  judgement.requeue = decoded.reply->requeue;
  if (Value* const node = proposed.Find("node")) judgement.effective = std::move(*node);
  judgement.masked = redactor.RedactTree(judgement.effective);
  return judgement;
}

}  // namespace bulkhead::agent

#include <algorithm>

#include "policy/evaluate_scratch.h"
#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

// The member that makes a reply the plugin's own.
std::string_view ContentOf(Rpc rpc) {
  if (IsNodeRpc(rpc)) return "node";
  return rpc == Rpc::kParametersAdd ? "parameters" : "workflow";
}

}  // namespace

void Evaluator::Scratch::Decide(const PolicySet& policies, const Call& one_call, std::string_view reply) {
  state = &policies.state();
  call = &one_call;
  used = 0;
  canonical.clear();
  matching.clear();
  decision = Decision();
  const auto known = RpcByName(call->subject.rpc);
  if (!known.has_value()) {
    Fault("decode.unknown-method", "", "Argo has no such method");
    decision.by_decode = true;
    return Finish();
  }
  rpc = *known;
  spec = ReplySpec(rpc);
  state->Select(call->subject, rpc, matching);
  for (const uint32_t position : matching) decision.on_deny = std::max(decision.on_deny, PolicyAt(position).on_deny);
  if (matching.empty() || std::all_of(matching.begin(), matching.end(), [&](uint32_t position) {
        return PolicyAt(position).on_deny == OnDeny::kDropReply;
      })) {
    decision.on_deny = matching.empty() ? OnDeny::kFailNode : OnDeny::kDropReply;
  }
  if (ReplyIsTooLong(reply)) return Finish();
  if (!decoder.Decode(rpc, reply, *this)) {
    decision.by_decode = true;
    return Finish();
  }
  if (!decoder.says_something() || !IsMine()) {
    decision.kind = Decision::Kind::kNotMine;
    return Finish();
  }
  // From here on the reply is a tree of Argo's own types.
  differ.Run(*spec, call->sent, decoder.document().root());
  expressions.Reset(*call, rpc, spec, &decoder.document().root());
  JudgeChanges();
  if (used == 0 && differ.changes().empty() && rpc != Rpc::kTemplateExecute) {
    decision.kind = Decision::Kind::kNotMine;
    return Finish();
  }
  JudgeReply();
  Finish();
}

// Before a byte is read: what a policy that enforces has no room for needs no further look.
bool Evaluator::Scratch::ReplyIsTooLong(std::string_view reply) {
  bool too_long = false;
  for (const uint32_t position : matching) {
    const Policy& policy = PolicyAt(position);
    if (reply.size() <= policy.limits.reply_bytes) continue;
    Verdict& verdict = NewWholeVerdict(policy, "limits.replyBytes", CompiledAt(position).limits_place);
    verdict.reason = "the reply exceeds limits.replyBytes: ";
    AppendNumber(policy.limits.reply_bytes, verdict.reason);
    too_long |= !verdict.allowed;
  }
  return too_long;
}

bool Evaluator::Scratch::IsMine() const {
  const JsonNode* const content = FindMember(decoder.document().root(), ContentOf(rpc));
  return content != nullptr && !content->is_null();
}

// --- the reply as a whole -------------------------------------------------------------------------

void Evaluator::Scratch::JudgeReply() {
  if (matching.empty() && differ.changes().empty()) RefuseByDefault(nullptr);
  for (const uint32_t position : matching) {
    CheckLimits(position);
    CheckRequired(position);
    RunChecks(position);
  }
}

void Evaluator::Scratch::CheckLimits(uint32_t position) {
  const Policy& policy = PolicyAt(position);
  const auto check = [&](std::string_view limit, size_t most, size_t found) {
    if (found <= most) return;
    Verdict& verdict = NewWholeVerdict(policy, limit, CompiledAt(position).limits_place);
    verdict.reason.append("the reply exceeds ").append(limit).append(": ");
    AppendNumber(most, verdict.reason);
  };
  check("limits.depth", policy.limits.depth, decoder.document().depth());
  if (policy.limits.items == SIZE_MAX) return;
  size_t items = 0;
  for (const JsonNode& node : decoder.document().nodes()) {
    const auto* const field = static_cast<const FieldSpec*>(node.mark);
    const bool free_keys = field != nullptr && field->type == FieldType::kStringMap;
    if (node.is_array() || free_keys) items = std::max<size_t>(items, node.size);
  }
  check("limits.items", policy.limits.items, items);
}

void Evaluator::Scratch::CheckRequired(uint32_t position) {
  const Policy& policy = PolicyAt(position);
  for (size_t i = 0; i < policy.require.size(); ++i) {
    const Rule& rule = policy.require[i];
    // A policy may be for several methods.
    if (!InReply(rpc, rule.path.leaf_id())) continue;
    if (IsPresent(rule.path, *spec, call->sent, decoder.document().root())) continue;
    Verdict& verdict = NewWholeVerdict(policy, rule.id, CompiledAt(position).require_places[i]);
    verdict.path = rule.path.text();
    verdict.rule = &rule;
    if (rule.message.empty()) {
      verdict.reason = "is required";
    } else {
      verdict.reason = rule.message;
    }
  }
}

void Evaluator::Scratch::RunChecks(uint32_t position) {
  const Policy& policy = PolicyAt(position);
  for (size_t i = 0; i < policy.checks.size(); ++i) {
    const Check& check = policy.checks[i];
    const ExpressionInput::Truth truth = expressions.Evaluate(check.expr);
    if (truth.ok && truth.value) continue;
    Verdict& verdict = NewWholeVerdict(policy, check.id, CompiledAt(position).check_places[i]);
    if (!truth.ok) {
      verdict.reason.append("the check can't be evaluated: ").append(truth.failure);
      verdict.advice = verdict.allowed = false;  // in every mode
    } else {
      verdict.reason = check.message.empty() ? "the check does not hold" : check.message;
    }
  }
}

void Evaluator::Scratch::Finish() {
  decision.verdicts = {pool.data(), used};
  for (const Verdict& verdict : decision.verdicts) {
    ++(verdict.allowed ? decision.allowed : decision.refused);
    if (verdict.advice) ++decision.advised;
  }
  if (decision.kind == Decision::Kind::kNotMine || decision.refused > 0) return;
  decision.kind = Decision::Kind::kAllowed;
  const JsonNode& root = decoder.document().root();
  AppendEffective(*spec, call->sent, root, canonical);
  decision.canonical = canonical;
  const JsonNode* const requeue = rpc == Rpc::kTemplateExecute ? FindMember(root, "requeue") : nullptr;
  if (requeue != nullptr && !requeue->is_null()) decision.requeue = ParseGoDuration(requeue->text);
}

// --- the evaluator --------------------------------------------------------------------------------

Evaluator::Evaluator() : scratch_(std::make_unique<Scratch>()) {}
Evaluator::Evaluator(Evaluator&&) noexcept = default;
Evaluator& Evaluator::operator=(Evaluator&&) noexcept = default;
Evaluator::~Evaluator() = default;

const Decision& Evaluator::Decide(const PolicySet& policies, const Call& call, std::string_view reply) {
  scratch_->Decide(policies, call, reply);
  return scratch_->decision;
}

namespace {

// Labels may differ by case only.
Value FromCanonical(std::string_view text) {
  JsonLimits limits;
  limits.bytes = SIZE_MAX;
  limits.string_bytes = SIZE_MAX;
  limits.values = SIZE_MAX;
  limits.fold_keys = false;
  JsonParse parsed = ParseJson(text, limits);
  return parsed.ok ? std::move(parsed.value) : Value::Object();
}

}  // namespace

Value Evaluator::Effective() const {
  if (scratch_->decision.kind != Decision::Kind::kAllowed) return Value::Object();
  return FromCanonical(scratch_->canonical);
}

Value Evaluator::MergePatch() const {
  if (scratch_->decision.kind != Decision::Kind::kAllowed) return Value::Object();
  std::string patch;
  AppendMergePatch(*scratch_->spec, scratch_->call->sent, scratch_->decoder.document().root(), patch);
  return FromCanonical(patch);
}

}  // namespace bulkhead::policy

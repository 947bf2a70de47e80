#include <algorithm>
#include <array>
#include <charconv>

#include "policy/changes.h"
#include "policy/decode.h"
#include "policy/expression.h"
#include "policy/guards.h"
#include "policy/index.h"
#include "policy/policy.h"
#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

constexpr std::string_view kDefaultDeny = "default-deny";

bool IsNodeRpc(Rpc rpc) {
  return rpc == Rpc::kTemplateExecute || rpc == Rpc::kNodePreExecute;
}

// The member that makes a reply the plugin's own.
std::string_view ContentOf(Rpc rpc) {
  if (IsNodeRpc(rpc)) return "node";
  return rpc == Rpc::kParametersAdd ? "parameters" : "workflow";
}

std::string_view PastOf(Op op) {
  return op == Op::kAdd ? "added" : op == Op::kChange ? "changed" : "removed";
}

// "parameters" of node.outputs.parameters[].value.
std::string_view ListOf(std::string_view path) {
  const size_t key = path.find("[]");
  if (key == std::string_view::npos) return {};
  path = path.substr(0, key);
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

void AppendEscaped(std::string_view text, std::string& out) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (plain) {
    out += text;
  } else {
    out += EscapeForTerminal(text);
  }
}

void AppendNumber(size_t number, std::string& out) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), end.ptr);
}

std::string_view PhaseOf(const Value* sent) {
  const Value* const node = sent == nullptr ? nullptr : sent->Find("node");
  const Value* const phase = node == nullptr ? nullptr : node->Find("phase");
  return phase != nullptr && phase->is_string() ? std::string_view(phase->text) : std::string_view();
}

struct Leafs {
  uint16_t phase;
  uint16_t message;
  uint16_t requeue;
};

const Leafs& KnownLeafs() {
  const auto find = [](std::string_view path) { return PathPattern::Parse(path).path->leaf_id(); };
  static const Leafs leafs = {find("node.phase"), find("node.message"), find("requeue")};
  return leafs;
}

}  // namespace

struct Evaluator::Scratch final : FaultSink {
  // --- what one decision works on ---
  const PolicySet::State* state = nullptr;
  const Call* call = nullptr;
  Rpc rpc = Rpc::kTemplateExecute;
  const StructSpec* spec = nullptr;

  Decoder decoder;
  Differ differ;
  ExpressionInput expressions;
  std::vector<uint32_t> matching;
  std::vector<Verdict> pool;  // never shrinks: its strings keep their memory
  size_t used = 0;
  std::string canonical;
  Decision decision;

  // Of the change that is judged.
  TextFindings text;
  size_t longest = 0;

  Verdict& NewVerdict() {
    if (used == pool.size()) pool.emplace_back();
    Verdict& verdict = pool[used++];
    verdict.op = Op::kAdd;
    verdict.allowed = false;
    verdict.advice = false;
    verdict.whole = false;
    verdict.path.clear();
    verdict.by.policy.clear();
    verdict.by.rule.clear();
    verdict.by.place.clear();
    verdict.reason.clear();
    verdict.value.clear();
    verdict.policy = nullptr;
    verdict.rule = nullptr;
    return verdict;
  }

  void Fault(std::string_view id, std::string_view path, std::string_view message) override {
    Verdict& verdict = NewVerdict();
    verdict.path = path;
    verdict.by.rule = id;
    verdict.reason = message;
  }

  // Whether refusals of the policy's own rules refuse, or only advise.
  bool Enforces(const Policy& policy) const {
    return policy.mode == Mode::kEnforce || !policy.expires.has_value() || policy.expires->Passed(call->now);
  }

  const Policy& PolicyAt(uint32_t position) const { return state->policies[position]; }
  const CompiledPolicy& CompiledAt(uint32_t position) const { return state->compiled[position]; }

  void Decide(const PolicySet& policies, const Call& one_call, std::string_view reply);
  bool ReplyIsTooLong(std::string_view reply);
  bool IsMine() const;
  void JudgeChanges();
  void JudgeChange(const Change& change);
  bool RefusedByGuards(const Change& change);
  bool RefusedByTransition(const Change& change);
  bool RefusedByValue(const Change& change);
  bool IsUnprotected(const Change& change) const;

  struct Finding {
    enum class Kind : uint8_t { kAllowed, kRefused, kFailed };  // kFailed: in every mode
    Kind kind = Kind::kRefused;
    const Rule* rule = nullptr;  // null: no rule speaks of the leaf
    std::string_view place;
    std::string_view guard;  // not a rule but this built-in refuses
  };
  Finding JudgeBy(uint32_t position, const Change& change, const LeafKey& key, std::string& why);
  // A refusal that is only advice must not let through what the guards leave to a rule: no rule allows it.
  Finding Guarded(const Policy& policy, const Change& change, Finding finding, std::string& why) const;
  bool DenyHits(const Rule& rule, const Change& change, const ValueContext& context, Finding& finding,
                std::string& why);
  bool RuleAllows(const Rule& rule, const Change& change, const ValueContext& context, Finding& finding,
                  std::string& why);
  // What the guards leave to a rule: line ends need charset text, Skipped and Omitted need to be named.
  std::string_view NeedsMore(const Rule* rule, const Change& change, std::string_view& guard) const;
  bool IsTrue(const std::optional<Expression>& when, Finding& finding, std::string& why);

  void RefuseByBuiltIn(const Change& change, std::string_view guard, std::string_view reason,
                       std::string_view rest = {});
  void RefuseByDefault(const Change* change);
  void JudgeReply(std::string_view reply);
  void CheckLimits(uint32_t position);
  void CheckRequired(uint32_t position);
  void RunChecks(uint32_t position);
  void Finish();
};

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
  JudgeReply(reply);
  Finish();
}

// Before a byte is read: what a policy that enforces has no room for needs no further look.
bool Evaluator::Scratch::ReplyIsTooLong(std::string_view reply) {
  bool too_long = false;
  for (const uint32_t position : matching) {
    const Policy& policy = PolicyAt(position);
    if (reply.size() <= policy.limits.reply_bytes) continue;
    Verdict& verdict = NewVerdict();
    verdict.whole = true;
    verdict.by.policy = policy.name;
    verdict.by.rule = "limits.replyBytes";
    verdict.by.place = CompiledAt(position).limits_place;
    verdict.policy = &policy;
    verdict.reason = "the reply exceeds limits.replyBytes: ";
    AppendNumber(policy.limits.reply_bytes, verdict.reason);
    verdict.advice = verdict.allowed = !Enforces(policy);
    too_long |= !verdict.allowed;
  }
  return too_long;
}

bool Evaluator::Scratch::IsMine() const {
  const JsonNode* const content = FindMember(decoder.document().root(), ContentOf(rpc));
  return content != nullptr && !content->is_null();
}

// --- one change -----------------------------------------------------------------------------------

void Evaluator::Scratch::JudgeChanges() {
  for (const ListFault& fault : differ.faults()) Fault(kListKeysGuard, fault.path, fault.reason);
  for (const Change& change : differ.changes()) JudgeChange(change);
}

void Evaluator::Scratch::RefuseByBuiltIn(const Change& change, std::string_view guard, std::string_view reason,
                                         std::string_view rest) {
  Verdict& verdict = NewVerdict();
  verdict.op = change.op;
  AppendPath(change, verdict.path);
  verdict.by.rule = guard;
  verdict.reason.append(reason).append(rest);
}

bool Evaluator::Scratch::IsUnprotected(const Change& change) const {
  if (matching.empty() || change.empty_struct != nullptr) return false;
  return std::all_of(matching.begin(), matching.end(), [&](uint32_t position) {
    const std::vector<Unprotect>& list = PolicyAt(position).unprotect;
    return std::any_of(list.begin(), list.end(), [&](const Unprotect& one) {
      return one.set == change.set && !one.expires.Passed(call->now) &&
             one.path.Matches(change.field->leaf, change.Keys());
    });
  });
}

bool Evaluator::Scratch::RefusedByGuards(const Change& change) {
  if (change.set != ProtectedSet::kNone && !IsUnprotected(change)) {
    Verdict& verdict = NewVerdict();
    verdict.op = change.op;
    AppendPath(change, verdict.path);
    verdict.by.rule = SetName(change.set);
    verdict.reason.append("is in the protected set ").append(SetName(change.set)).append(": ");
    verdict.reason += SetReason(change.set);
    return true;
  }
  return RefusedByTransition(change) || RefusedByValue(change);
}

bool Evaluator::Scratch::RefusedByTransition(const Change& change) {
  if (!IsNodeRpc(rpc)) return false;
  const Leafs& leafs = KnownLeafs();
  if (change.field->leaf == leafs.requeue) {
    size_t most = kDefaultRequeues;
    for (size_t i = 0; i < matching.size(); ++i) {
      const size_t limit = PolicyAt(matching[i]).limits.requeues;
      most = i == 0 ? limit : std::min(most, limit);
    }
    if (call->requeues < most) return false;
    RefuseByBuiltIn(change, kTransitionsGuard, "the task was called again often enough (limits.requeues)");
    return true;
  }
  const std::string_view before = PhaseOf(call->sent);
  if (change.field->leaf != leafs.phase) {
    if (!IsFinished(before)) return false;
    RefuseByBuiltIn(change, kTransitionsGuard, "a node that has ended stays as it is");
    return true;
  }
  const std::string_view bad =
      change.op == Op::kRemove ? "can't be taken back" : BadTransition(before, change.after->text);
  if (bad.empty()) return false;
  RefuseByBuiltIn(change, kTransitionsGuard, bad);
  return true;
}

bool Evaluator::Scratch::RefusedByValue(const Change& change) {
  text = {};
  longest = 0;
  for (const std::string_view key : change.Keys()) {
    const TextFindings found = InspectText(key);
    if (found.harm.empty() && !found.text_only) continue;
    RefuseByBuiltIn(change, kValuesGuard, "its name ",
                    found.harm.empty() ? "holds line ends, tabs or joiners" : found.harm);
    return true;
  }
  if (change.field->keys == KeyRule::kVariables && !IsVariableName(change.keys[0])) {
    RefuseByBuiltIn(change, kValuesGuard, "its name may have only letters, digits and _ - .");
    return true;
  }
  if (change.after == nullptr) return false;
  if (change.after->is_string()) {
    text = InspectText(change.after->text);
    longest = change.after->text.size();
  } else {
    text = InspectValue(*change.after, longest);
  }
  size_t most = kDefaultStringBytes;
  for (size_t i = 0; i < matching.size(); ++i) {
    const size_t limit = PolicyAt(matching[i]).limits.string_bytes;
    most = i == 0 ? limit : std::min(most, limit);
  }
  if (longest > most) {
    RefuseByBuiltIn(change, kValuesGuard, "is longer than ");
    std::string& reason = pool[used - 1].reason;
    AppendNumber(most, reason);
    reason += " bytes (limits.stringBytes)";
    return true;
  }
  if (text.harm.empty()) return false;
  RefuseByBuiltIn(change, kValuesGuard, text.harm);
  return true;
}

void Evaluator::Scratch::JudgeChange(const Change& change) {
  if (RefusedByGuards(change)) return;
  if (matching.empty()) return RefuseByDefault(&change);
  const LeafKey key(change.field->leaf, change.Keys());
  const size_t first = used;
  const Rule* allowing = nullptr;
  uint32_t allowing_policy = 0;
  std::string_view allowing_place;
  for (const uint32_t position : matching) {
    const Policy& policy = PolicyAt(position);
    // The reason is written where it is needed, should it be: into the verdict that a refusal would get.
    Verdict& verdict = NewVerdict();
    const Finding finding = JudgeBy(position, change, key, verdict.reason);
    if (finding.kind == Finding::Kind::kAllowed) {
      --used;
      if (allowing == nullptr) {
        allowing = finding.rule;
        allowing_policy = position;
        allowing_place = finding.place;
      }
      continue;
    }
    verdict.op = change.op;
    AppendPath(change, verdict.path);
    verdict.policy = &policy;
    verdict.rule = finding.rule;
    if (!finding.guard.empty()) {
      verdict.by.rule = finding.guard;
    } else {
      verdict.by.policy = policy.name;
      verdict.by.rule = finding.rule == nullptr ? kDefaultDeny : std::string_view(finding.rule->id);
      verdict.by.place = finding.place;
    }
    // A protected set, a guard or an error is loosened by no mode.
    const bool hard = finding.kind == Finding::Kind::kFailed || !finding.guard.empty() ||
                      change.set != ProtectedSet::kNone || Enforces(policy);
    verdict.allowed = verdict.advice = !hard;
  }
  if (used > first) return;
  Verdict& verdict = NewVerdict();
  verdict.op = change.op;
  verdict.allowed = true;
  AppendPath(change, verdict.path);
  verdict.by.policy = PolicyAt(allowing_policy).name;
  verdict.by.rule = allowing->id;
  verdict.by.place = allowing_place;
  verdict.policy = &PolicyAt(allowing_policy);
  verdict.rule = allowing;
  if (allowing->log_value && change.after != nullptr) AppendJson(*change.after, verdict.value);
}

Evaluator::Scratch::Finding Evaluator::Scratch::JudgeBy(uint32_t position, const Change& change, const LeafKey& key,
                                                        std::string& why) {
  const Policy& policy = PolicyAt(position);
  const CompiledPolicy& compiled = CompiledAt(position);
  const LeafSpec& leaf = Leaves()[change.field->leaf];
  ValueContext context;
  context.before = ScalarOf(change.before);
  context.template_outputs = call->template_spec == nullptr ? nullptr : call->template_spec->Find("outputs");
  context.list = ListOf(leaf.path);
  if (change.key_count > 0) context.key = change.keys[0];

  Finding finding;
  compiled.rules.Deny(key, [&](uint32_t i) {
    const Rule& rule = policy.deny[i];
    if (!rule.path.Matches(change.field->leaf, change.Keys()) || !DenyHits(rule, change, context, finding, why))
      return true;
    finding.rule = &rule;
    finding.place = compiled.deny_places[i];
    return false;
  });
  if (finding.rule != nullptr) return Guarded(policy, change, finding, why);
  compiled.rules.Allow(key, [&](uint32_t i) {
    const Rule& rule = policy.allow[i];
    if (!rule.path.Matches(change.field->leaf, change.Keys())) return true;
    // The reason of the last rule that came near stands in the refusal.
    why.clear();
    finding.guard = {};
    finding.rule = &rule;
    finding.place = compiled.allow_places[i];
    if (!RuleAllows(rule, change, context, finding, why)) return finding.kind != Finding::Kind::kFailed;
    finding.kind = Finding::Kind::kAllowed;
    return false;
  });
  if (finding.rule != nullptr) return Guarded(policy, change, finding, why);
  finding.place = compiled.place;
  why.append("no rule of policy ").append(policy.name);
  why += " allows it; to allow it, write under spec.allow: {id: ..., path: '";
  const size_t path_at = why.size();
  AppendPath(change, why);
  if (std::any_of(why.begin() + static_cast<std::ptrdiff_t>(path_at), why.end(),
                  [](char c) { return c < ' ' || c > '~'; })) {
    const std::string path = EscapeForTerminal(why.substr(path_at));
    why.resize(path_at);
    why += path;
  }
  why += change.op == Op::kRemove ? "', op: [remove], value: {...}}" : "', value: {...}}";
  return Guarded(policy, change, finding, why);
}

Evaluator::Scratch::Finding Evaluator::Scratch::Guarded(const Policy& policy, const Change& change, Finding finding,
                                                        std::string& why) const {
  if (finding.kind != Finding::Kind::kRefused || Enforces(policy)) return finding;
  const std::string_view needs = NeedsMore(nullptr, change, finding.guard);
  if (!needs.empty()) why = needs;
  return finding;
}

bool Evaluator::Scratch::DenyHits(const Rule& rule, const Change& change, const ValueContext& context, Finding& finding,
                                  std::string& why) {
  if (!rule.Covers(change.op)) return false;
  // What is taken away has no new value that a rule could mean.
  if (rule.value.has_value() &&
      (change.after == nullptr || !rule.value->Admits(ScalarOf(change.after), context, nullptr))) {
    return false;
  }
  if (!IsTrue(rule.when, finding, why)) return finding.kind == Finding::Kind::kFailed;
  if (rule.message.empty()) {
    why = "is denied by this rule";
  } else {
    why = rule.message;
  }
  return true;
}

bool Evaluator::Scratch::RuleAllows(const Rule& rule, const Change& change, const ValueContext& context,
                                    Finding& finding, std::string& why) {
  if (!rule.Covers(change.op)) {
    why.append("may not be ").append(PastOf(change.op)).append(" by this rule");
    return false;
  }
  if (rule.value.has_value() && change.after != nullptr && !rule.value->Admits(ScalarOf(change.after), context, &why))
    return false;
  if (!IsTrue(rule.when, finding, why)) return false;
  why += NeedsMore(&rule, change, finding.guard);
  return finding.guard.empty();
}

std::string_view Evaluator::Scratch::NeedsMore(const Rule* rule, const Change& change, std::string_view& guard) const {
  if (change.after == nullptr) return {};
  const bool has_value = rule != nullptr && rule->value.has_value();
  const Leafs& leafs = KnownLeafs();
  if (text.text_only && change.field->leaf != leafs.message && !(has_value && rule->value->charset == Charset::kText)) {
    guard = kValuesGuard;
    return "holds line ends, tabs or joiners (a rule with charset: text admits them)";
  }
  if (change.field->leaf == leafs.phase && NeedsNaming(change.after->text) &&
      !(has_value && rule->value->Names(change.after->text))) {
    guard = kTransitionsGuard;
    return "Skipped and Omitted let dependants go on: a rule must name them in enum or const";
  }
  return {};
}

bool Evaluator::Scratch::IsTrue(const std::optional<Expression>& when, Finding& finding, std::string& why) {
  if (!when.has_value()) return true;
  const ExpressionInput::Truth truth = expressions.Evaluate(*when);
  if (!truth.ok) {
    finding.kind = Finding::Kind::kFailed;
    why.append("its `when` can't be evaluated: ").append(truth.failure);
    return false;
  }
  if (!truth.value) why += "its `when` is not true";
  return truth.value;
}

void Evaluator::Scratch::RefuseByDefault(const Change* change) {
  Verdict& verdict = NewVerdict();
  verdict.whole = change == nullptr;
  if (change != nullptr) {
    verdict.op = change->op;
    AppendPath(*change, verdict.path);
  }
  verdict.by.rule = kDefaultDeny;
  const Subject& subject = call->subject;
  std::string& reason = verdict.reason;
  reason = state->policies.empty() ? "no policy was given" : "no policy matches this call";
  reason += ", so nothing may be changed: write a MutationPolicy with spec.match: {plugin: {name: ";
  AppendEscaped(subject.plugin, reason);
  reason.append("}, rpc: [").append(RpcName(rpc)).append("], namespaces: [\"");
  AppendEscaped(subject.name_space, reason);
  reason += "\"], templates: [\"";
  AppendEscaped(subject.template_name, reason);
  reason += "\"]}";
  if (state->policies.empty()) reason += " and give it with --policy";
}

// --- the reply as a whole -------------------------------------------------------------------------

void Evaluator::Scratch::JudgeReply(std::string_view /*reply*/) {
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
    Verdict& verdict = NewVerdict();
    verdict.whole = true;
    verdict.by.policy = policy.name;
    verdict.by.rule.append("limits.").append(limit);
    verdict.by.place = CompiledAt(position).limits_place;
    verdict.policy = &policy;
    verdict.reason.append("the reply exceeds limits.").append(limit).append(": ");
    AppendNumber(most, verdict.reason);
    verdict.advice = verdict.allowed = !Enforces(policy);
  };
  check("depth", policy.limits.depth, decoder.document().depth());
  if (policy.limits.items == SIZE_MAX) return;
  size_t items = 0;
  for (const JsonNode& node : decoder.document().nodes()) {
    const auto* const field = static_cast<const FieldSpec*>(node.mark);
    const bool free_keys = field != nullptr && field->type == FieldType::kStringMap;
    if (node.is_array() || free_keys) items = std::max<size_t>(items, node.size);
  }
  check("items", policy.limits.items, items);
}

void Evaluator::Scratch::CheckRequired(uint32_t position) {
  const Policy& policy = PolicyAt(position);
  for (size_t i = 0; i < policy.require.size(); ++i) {
    const Rule& rule = policy.require[i];
    // A policy may be for several methods.
    if (!InReply(rpc, rule.path.leaf_id())) continue;
    if (IsPresent(rule.path, *spec, call->sent, decoder.document().root())) continue;
    Verdict& verdict = NewVerdict();
    verdict.whole = true;
    verdict.path = rule.path.text();
    verdict.by.policy = policy.name;
    verdict.by.rule = rule.id;
    verdict.by.place = CompiledAt(position).require_places[i];
    verdict.policy = &policy;
    verdict.rule = &rule;
    if (rule.message.empty()) {
      verdict.reason = "is required";
    } else {
      verdict.reason = rule.message;
    }
    verdict.advice = verdict.allowed = !Enforces(policy);
  }
}

void Evaluator::Scratch::RunChecks(uint32_t position) {
  const Policy& policy = PolicyAt(position);
  for (size_t i = 0; i < policy.checks.size(); ++i) {
    const Check& check = policy.checks[i];
    const ExpressionInput::Truth truth = expressions.Evaluate(check.expr);
    if (truth.ok && truth.value) continue;
    Verdict& verdict = NewVerdict();
    verdict.whole = true;
    verdict.by.policy = policy.name;
    verdict.by.rule = check.id;
    verdict.by.place = CompiledAt(position).check_places[i];
    verdict.policy = &policy;
    if (!truth.ok) {
      verdict.reason.append("the check can't be evaluated: ").append(truth.failure);
    } else {
      verdict.reason = check.message.empty() ? "the check does not hold" : check.message;
    }
    verdict.advice = verdict.allowed = truth.ok && !Enforces(policy);
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

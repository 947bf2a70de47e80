// One change of a reply against the guards and every policy that matches the call.
#include <algorithm>

#include "policy/evaluate_scratch.h"
#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

constexpr std::string_view kDefaultDeny = "default-deny";

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

}  // namespace bulkhead::policy

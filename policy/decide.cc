#include <algorithm>

#include "policy/guards.h"
#include "policy/policy.h"
#include "policy/rules.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

constexpr std::string_view kDefaultDeny = "default-deny";

Verdict Refuse(const Mutation& mutation, RuleRef by, std::string reason) {
  return {mutation.op, mutation.path, false, std::move(by), std::move(reason)};
}

Verdict RefuseReply(const Policy& policy, std::string_view limit, size_t most) {
  Verdict verdict;
  verdict.by = {policy.name, "limits." + std::string(limit), policy.limits_place};
  verdict.reason = "the reply exceeds limits." + std::string(limit) + ": " + std::to_string(most);
  return verdict;
}

RuleRef Ref(const Policy& policy, const Rule& rule) {
  return {policy.name, rule.id, rule.place};
}

std::string SuggestedRule(const Mutation& mutation) {
  const std::string op = mutation.op == Op::kRemove ? ", op: [remove]" : "";
  return "{id: ..., path: '" + EscapeForTerminal(mutation.path) + "'" + op + ", value: {...}}";
}

// What one policy says to one mutation.
Verdict Judge(const Policy& policy, const Mutation& mutation) {
  for (const Rule& rule : policy.deny) {
    const bool hit = rule.path.Matches(mutation.path) && rule.Covers(mutation.op) &&
                     (!rule.value.has_value() || mutation.new_value == nullptr ||
                      !rule.value->Violation(*mutation.new_value).has_value());
    if (hit) return Refuse(mutation, Ref(policy, rule), rule.message.empty() ? "is denied by this rule" : rule.message);
  }
  const Rule* nearest = nullptr;
  std::string reason;
  for (const Rule& rule : policy.allow) {
    if (!rule.path.Matches(mutation.path)) continue;
    std::optional<std::string> violation;
    if (!rule.Covers(mutation.op)) {
      violation = "may not be " +
                  std::string(mutation.op == Op::kAdd      ? "added"
                              : mutation.op == Op::kChange ? "changed"
                                                           : "removed") +
                  " by this rule";
    } else if (rule.value.has_value() && mutation.new_value != nullptr) {
      violation = rule.value->Violation(*mutation.new_value);
    }
    if (!violation.has_value()) {
      if (auto refusal = HarmfulValue(mutation, rule, policy.limits.string_bytes))
        return Refuse(mutation, {"", std::string(refusal->guard), ""}, refusal->reason);
      if (auto refusal = BadTransition(mutation, rule))
        return Refuse(mutation, {"", std::string(refusal->guard), ""}, refusal->reason);
      return {mutation.op, mutation.path, true, Ref(policy, rule), ""};
    }
    nearest = &rule;
    reason = std::move(*violation);
  }
  if (nearest != nullptr) return Refuse(mutation, Ref(policy, *nearest), reason);
  return Refuse(mutation, {policy.name, std::string(kDefaultDeny), policy.place},
                "no rule of policy " + policy.name +
                    " allows it; to allow it, write under spec.allow: " + SuggestedRule(mutation));
}

void CheckLimits(const Policy& policy, const ReplyFacts& facts, std::vector<Verdict>& verdicts) {
  if (facts.bytes > policy.limits.reply_bytes)
    verdicts.push_back(RefuseReply(policy, "replyBytes", policy.limits.reply_bytes));
  if (facts.depth > policy.limits.depth) verdicts.push_back(RefuseReply(policy, "depth", policy.limits.depth));
  if (facts.items > policy.limits.items) verdicts.push_back(RefuseReply(policy, "items", policy.limits.items));
}

void CheckRequired(const Policy& policy, const std::vector<Mutation>& leaves, std::vector<Verdict>& verdicts) {
  for (const Rule& rule : policy.require) {
    const bool present =
        std::any_of(leaves.begin(), leaves.end(), [&](const Mutation& leaf) { return rule.path.Matches(leaf.path); });
    if (present) continue;
    Verdict verdict;
    verdict.path = rule.path.text();
    verdict.by = Ref(policy, rule);
    verdict.reason = rule.message.empty() ? "is required" : rule.message;
    verdicts.push_back(std::move(verdict));
  }
}

// Every leaf of the state after the reply; empty when no policy asks.
std::vector<Mutation> EffectiveLeaves(const std::vector<const Policy*>& policies, const Value* effective) {
  const bool asked =
      std::any_of(policies.begin(), policies.end(), [](const Policy* policy) { return !policy->require.empty(); });
  if (!asked || effective == nullptr) return {};
  const Value nothing = Value::Object();
  auto leaves = Diff(nothing, *effective);
  if (!leaves.ok()) return {};
  for (Mutation& leaf : *leaves) leaf.old_value = nullptr;
  return std::move(leaves).value();
}

std::string NoPolicyReason(const Subject& subject, bool any) {
  const std::string match = "match: {plugin: {name: " + std::string(subject.plugin) + "}, rpc: [" +
                            std::string(subject.rpc) + "], namespaces: [\"" + std::string(subject.name_space) +
                            "\"], templates: [\"" + EscapeForTerminal(subject.template_name) + "\"]}";
  if (!any)
    return "no policy was given, so nothing may be changed: write a MutationPolicy with spec." + match +
           " and give it with --policy";
  return "no policy matches this call, so nothing may be changed: write a MutationPolicy with spec." + match;
}

}  // namespace

bool GlobMatches(std::string_view glob, std::string_view text) {
  // Greedy with one point to go back to: linear in practice, quadratic at worst, never exponential.
  size_t g = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t mark = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      mark = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

bool Policy::Matches(const Subject& subject) const {
  const auto any = [](const std::vector<std::string>& globs, std::string_view text) {
    return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) { return GlobMatches(glob, text); });
  };
  return GlobMatches(plugin, subject.plugin) && std::find(rpcs.begin(), rpcs.end(), subject.rpc) != rpcs.end() &&
         any(namespaces, subject.name_space) && any(templates, subject.template_name);
}

bool PolicySet::AllowsPlaintextLoopback(std::string_view plugin, std::string_view name_space) const {
  size_t matching = 0;
  size_t allowing = 0;
  for (const Policy& policy : state_->policies) {
    const bool here = GlobMatches(policy.plugin, plugin) &&
                      std::any_of(policy.namespaces.begin(), policy.namespaces.end(),
                                  [&](const std::string& glob) { return GlobMatches(glob, name_space); });
    matching += here ? 1 : 0;
    allowing += here && policy.plaintext_loopback ? 1 : 0;
  }
  return matching > 0 && matching == allowing;
}

Decision PolicySet::Decide(const Subject& subject, const std::vector<Mutation>& mutations,
                           const ReplyFacts& facts) const {
  Decision decision;
  std::vector<const Policy*> matching;
  for (const Policy& policy : state_->policies) {
    if (policy.Matches(subject)) matching.push_back(&policy);
  }
  for (const Policy* policy : matching) CheckLimits(*policy, facts, decision.verdicts);
  for (const Mutation& mutation : mutations) {
    if (auto refusal = ProtectedSet(mutation)) {
      decision.verdicts.push_back(Refuse(mutation, {"", std::string(refusal->guard), ""}, std::move(refusal->reason)));
      continue;
    }
    if (matching.empty()) {
      decision.verdicts.push_back(
          Refuse(mutation, {"", std::string(kDefaultDeny), ""}, NoPolicyReason(subject, !state_->policies.empty())));
      continue;
    }
    // All policies that match must allow it.
    Verdict verdict;
    for (const Policy* policy : matching) {
      verdict = Judge(*policy, mutation);
      if (!verdict.allowed) break;
    }
    decision.verdicts.push_back(std::move(verdict));
  }
  const std::vector<Mutation> leaves = EffectiveLeaves(matching, facts.effective);
  for (const Policy* policy : matching) CheckRequired(*policy, leaves, decision.verdicts);
  if (matching.empty() && mutations.empty()) {
    Verdict verdict;
    verdict.by.rule = kDefaultDeny;
    verdict.reason = NoPolicyReason(subject, !state_->policies.empty());
    decision.verdicts.push_back(std::move(verdict));
  }
  for (const Verdict& verdict : decision.verdicts)
    ++(verdict.allowed ? decision.allowed_count : decision.refused_count);
  decision.allowed = decision.refused_count == 0;
  return decision;
}

}  // namespace bulkhead::policy

#include "policy/tools/explain.h"

#include <algorithm>

#include "policy/tools/leaf_document.h"
#include "policy/tools/rule_text.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

constexpr size_t kMostSteps = 8;  // rules that one change may need: its own, its name's, and room to spare
constexpr size_t kFarthest = 64;

struct Found {
  std::string file;
  Position at;
};

std::optional<Found> FindElement(const PolicySet& policies, const RuleRef& by) {
  for (const Policy& policy : policies.policies()) {
    if (policy.name != by.policy) continue;
    for (const auto* rules : {&policy.allow, &policy.deny, &policy.require}) {
      for (const Rule& rule : *rules) {
        if (rule.id == by.rule) return Found{policy.file, rule.at};
      }
    }
    for (const Check& check : policy.checks) {
      if (check.id == by.rule) return Found{policy.file, check.at};
    }
    return Found{policy.file, policy.at};
  }
  return std::nullopt;
}

void FindNearest(const std::vector<const Policy*>& policies, ExplainedLeaf& leaf) {
  // Farther off than that, it is another leaf altogether.
  size_t best = std::min(kFarthest, leaf.verdict.path.size() / 3) + 1;
  for (const Policy* policy : policies) {
    for (const Rule& rule : policy->allow) {
      const size_t distance = EditDistance(leaf.verdict.path, rule.path.text(), kFarthest);
      if (distance >= best) continue;
      best = distance;
      leaf.nearest_rule = rule.id;
      leaf.nearest_path = rule.path.text();
      leaf.nearest_place = policy->PlaceOf(rule.at);
    }
  }
}

std::vector<const Policy*> Matching(const PolicySet& policies, const Subject& subject) {
  std::vector<const Policy*> matching;
  for (const Policy& policy : policies.policies()) {
    if (MatchesCall(policy, subject)) matching.push_back(&policy);
  }
  return matching;
}

bool IsGuard(std::string_view rule) {
  return rule.starts_with("argo.") || rule.starts_with("decode.");
}

// Grows a copy of a policy by the rules that one change needs.
class Search {
 public:
  Search(const PolicySet& policies, const CallContext& context, int64_t now, const std::string& policy)
      : policies_(Enforced(policies.policies())), context_(context), trial_(now) {
    for (Policy& one : policies_) {
      if (one.name == policy) grown_ = &one;
    }
  }

  void Run(const PathPattern& path, const Value& before, const Value& reply, const std::optional<std::string>& value,
           Op op, WhyNot& answer) {
    const Policy original = *grown_;
    if (path.set() != ProtectedSet::kNone) Unprotected(path, answer);
    for (size_t step = 0; step < kMostSteps; ++step) {
      const auto set = PolicySet::FromPolicies(policies_);
      if (!set.ok()) break;
      const TrialOutcome outcome = trial_.Judge(*set, context_, before, ToJson(reply));
      const auto refusal = std::find_if(outcome.verdicts.begin(), outcome.verdicts.end(), [&](const TrialVerdict& one) {
        return !one.allowed && Concerns(one, path, reply);
      });
      if (refusal == outcome.verdicts.end()) {
        if (step == 0) Already(outcome, path, answer);
        break;
      }
      if (IsGuard(refusal->by.rule)) {
        answer.impossible = (refusal->path.empty() ? std::string("the reply") : refusal->path) + " " + refusal->reason +
                            " [" + refusal->by.rule + "]";
        break;
      }
      if (!Grow(*refusal, path, value, op, answer)) {
        answer.impossible = refusal->path + " " + refusal->reason + " [" + refusal->by.rule +
                            (refusal->by.place.empty() ? "" : " at " + refusal->by.place) + "]";
        break;
      }
    }
    if (answer.impossible.empty() && !answer.allowed_already) {
      const Policy grown = *grown_;
      answer.lets_in = DiffPolicies({&original, 1}, {&grown, 1});
      std::erase_if(answer.lets_in, [](const Difference& one) { return one.kind == Difference::Kind::kSetting; });
    }
  }

 private:
  // Refusals of other things (require, checks, limits) are not what was asked about.
  static bool Concerns(const TrialVerdict& verdict, const PathPattern& path, const Value& reply) {
    if (verdict.path == path.text()) return true;
    if (verdict.by.rule.starts_with("decode.")) return true;
    const auto parsed = PathPattern::Parse(verdict.path);
    // The name that the entry needs.
    return parsed.path.has_value() && verdict.path.ends_with(".name") && reply.is_object() &&
           parsed.path->keys().size() == path.keys().size();
  }

  void Already(const TrialOutcome& outcome, const PathPattern& path, WhyNot& answer) {
    answer.allowed_already = true;
    for (const TrialVerdict& verdict : outcome.verdicts) {
      if (verdict.path == path.text() && verdict.allowed)
        answer.allowing_rule = verdict.by.rule + (verdict.by.place.empty() ? "" : " (" + verdict.by.place + ")");
    }
  }

  void Unprotected(const PathPattern& path, WhyNot& answer) {
    Unprotect one;
    one.set = path.set();
    one.path = path;
    one.reason = "asked";
    one.expires.ends = INT64_MAX;
    grown_->unprotect.push_back(std::move(one));
    answer.unprotect.push_back("{set: " + std::string(SetName(path.set())) + ", path: " + FlowScalar(path.text()) +
                               ", reason: \"...\", expires: \"YYYY-MM-DD\"}");
  }

  // Adds the smallest rule that answers one refusal.
  bool Grow(const TrialVerdict& refusal, const PathPattern& asked, const std::optional<std::string>& value, Op op,
            WhyNot& answer) {
    const auto parsed = PathPattern::Parse(refusal.path);
    if (!parsed.path.has_value()) return false;
    // A deny rule stands above whatever is allowed.
    const bool denied = std::any_of(grown_->deny.begin(), grown_->deny.end(),
                                    [&](const Rule& rule) { return rule.id == refusal.by.rule; });
    if (denied || (!refusal.by.policy.empty() && refusal.by.policy != grown_->name)) return false;
    Rule rule;
    rule.id = "why-not-" + std::to_string(answer.rules.size() + 1);
    rule.path = *parsed.path;
    rule.add = refusal.op == Op::kAdd;
    rule.change = refusal.op == Op::kChange;
    rule.remove = refusal.op == Op::kRemove;
    std::optional<std::string> literal;
    if (refusal.path == asked.text()) {
      if (op != Op::kRemove) literal = value;
    } else if (!parsed.path->keys().empty()) {
      literal = parsed.path->keys().back().text;
    }
    Constrain(rule, literal);
    answer.rules.push_back("{id: " + rule.id + ", path: " + FlowScalar(refusal.path) + ", op: [" + OpsText(rule) + "]" +
                           (rule.value.has_value() ? ", value: " + ConstraintText(rule.value) : "") + "}");
    grown_->allow.push_back(std::move(rule));
    return true;
  }

  static void Constrain(Rule& rule, const std::optional<std::string>& literal) {
    if (rule.path.leaf().field->type == FieldType::kDuration) {
      Constraint constraint;
      const auto duration = literal.has_value() ? ParseGoDuration(*literal) : std::nullopt;
      constraint.least = duration.value_or(std::chrono::seconds(1));
      constraint.most = duration.value_or(std::chrono::minutes(10));
      rule.value = std::move(constraint);
    } else if (literal.has_value()) {
      Constraint constraint;
      constraint.constant = *literal;
      rule.value = std::move(constraint);
    }
  }

  std::vector<Policy> policies_;
  Policy* grown_ = nullptr;
  const CallContext& context_;
  Trial trial_;
};

// A value of the leaf's type that says `text`.
Value Typed(const LeafSpec& leaf, const std::string& text) {
  if (leaf.field->type == FieldType::kBool) return Value::Bool(text == "true");
  if (leaf.field->type == FieldType::kInteger) {
    Value number = Value::Number(0);
    if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) number.text = text;
    return number;
  }
  return Value::String(text);
}

}  // namespace

bool MatchesCall(const Policy& policy, const Subject& subject) {
  const Match& match = policy.match;
  const auto any = [](const std::vector<std::string>& globs, std::string_view text) {
    return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) { return GlobMatches(glob, text); });
  };
  const bool labels = std::all_of(match.workflow_labels.begin(), match.workflow_labels.end(), [&](const auto& wanted) {
    const Value* const label =
        subject.workflow_labels == nullptr ? nullptr : subject.workflow_labels->Find(wanted.first);
    return label != nullptr && GlobMatches(wanted.second, label->text);
  });
  return labels && GlobMatches(match.plugin, subject.plugin) &&
         (match.digest.empty() || match.digest == subject.plugin_digest) &&
         std::find(match.rpcs.begin(), match.rpcs.end(), subject.rpc) != match.rpcs.end() &&
         any(match.namespaces, subject.name_space) && any(match.templates, subject.template_name);
}

Explanation Explain(const PolicySet& policies, const CallContext& context, std::string_view reply, int64_t now) {
  Explanation explanation;
  const Call call = context.AsCall(context.sent, now, 0);
  const std::vector<const Policy*> matching = Matching(policies, call.subject);
  for (const Policy* policy : matching) explanation.policies.push_back(policy->name);
  explanation.outcome = Trial(now).Judge(policies, context, reply);
  for (const TrialVerdict& verdict : explanation.outcome.verdicts) {
    ExplainedLeaf& leaf = explanation.leaves.emplace_back();
    leaf.verdict = verdict;
    if (const auto found = FindElement(policies, verdict.by)) {
      leaf.file = found->file;
      leaf.at = found->at;
    }
    if (!verdict.allowed && verdict.by.rule == "default-deny") FindNearest(matching, leaf);
  }
  return explanation;
}

Result<WhyNot> ExplainWhyNot(const PolicySet& policies, const CallContext& context, std::string_view path,
                             const std::optional<std::string>& value, Op op, int64_t now) {
  const auto parsed = PathPattern::Parse(path);
  if (!parsed.path.has_value()) {
    return Error(Code::kInvalidInput,
                 "the path " + EscapeForTerminal(path) + ": " + parsed.problem.message +
                     (parsed.problem.hint.empty() ? "" : " (did you mean \"" + parsed.problem.hint + "\"?)"));
  }
  const auto& keys = parsed.path->keys();
  if (std::any_of(keys.begin(), keys.end(), [](const PathPattern::Key& key) { return key.any; }))
    return Error(Code::kInvalidInput, "ask about one leaf: write a name in place of [*]");
  const auto rpc = RpcByName(context.rpc);
  if (rpc.has_value() && !InReply(*rpc, parsed.path->leaf_id()))
    return Error(Code::kInvalidInput, "a reply to " + context.rpc + " has no " + parsed.path->text());

  const Call call = context.AsCall(context.sent, now, 0);
  const std::vector<const Policy*> matching = Matching(policies, call.subject);
  if (matching.empty())
    return Error(Code::kInvalidInput, "no policy matches the call (plugin " + EscapeForTerminal(context.plugin) +
                                          ", rpc " + EscapeForTerminal(context.rpc) +
                                          "): see spec.match, or give --context");

  std::vector<std::string> names;
  names.reserve(keys.size());
  for (const PathPattern::Key& key : keys) names.push_back(key.text);
  const LeafSpec& leaf = parsed.path->leaf();
  const Value wanted = value.has_value() ? Typed(leaf, *value) : Plausible(leaf);
  Value before = context.sent;
  Value reply = DocumentWith(leaf, names, wanted);
  if (op != Op::kAdd) {
    Value other = wanted;
    if (other.is_string()) other.text += "-before";
    if (other.is_number()) other.text += "0";
    if (other.is_bool()) other.boolean = !other.boolean;
    MergeInto(before, DocumentWith(leaf, names, std::move(other)));
    if (op == Op::kRemove) reply = DocumentWith(leaf, names, Value::Null());
  }
  WhyNot answer;
  answer.policy = matching.front()->name + " (" + matching.front()->Place() + ")";
  Search(policies, context, now, matching.front()->name).Run(*parsed.path, before, reply, value, op, answer);
  return answer;
}

}  // namespace bulkhead::policy::tools

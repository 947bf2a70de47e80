#include "policy/tools/trial.h"

namespace bulkhead::policy::tools {

TrialOutcome Trial::Judge(const PolicySet& policies, const CallContext& context, const Value& state,
                          std::string_view reply, uint32_t requeues) {
  const Call call = context.AsCall(state, now_, requeues);
  const Decision& decision = evaluator_.Decide(policies, call, reply);
  TrialOutcome outcome;
  outcome.on_deny = decision.on_deny;
  switch (decision.kind) {
    case Decision::Kind::kNotMine: outcome.verdict = "not-mine"; break;
    case Decision::Kind::kAllowed: outcome.verdict = "allow"; break;
    case Decision::Kind::kRefused: outcome.verdict = decision.by_decode ? "error" : "deny"; break;
  }
  outcome.verdicts.reserve(decision.verdicts.size());
  for (const Verdict& verdict : decision.verdicts) {
    outcome.verdicts.push_back({verdict.op, verdict.allowed, verdict.advice, verdict.path, verdict.by, verdict.reason});
  }
  if (outcome.allowed()) outcome.effective = evaluator_.Effective();
  return outcome;
}

std::vector<Policy> Enforced(const std::vector<Policy>& policies) {
  std::vector<Policy> enforced = policies;
  for (Policy& policy : enforced) {
    policy.mode = Mode::kEnforce;
    policy.expires.reset();
  }
  return enforced;
}

}  // namespace bulkhead::policy::tools

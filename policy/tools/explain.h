// Why a reply is allowed or refused, leaf by leaf; and what would have to be written for a change to pass.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/tools/policy_diff.h"
#include "policy/tools/trial.h"

namespace bulkhead::policy::tools {

struct ExplainedLeaf {
  TrialVerdict verdict;
  std::string file;  // of the rule that decided; empty: a built-in
  Position at;
  // The allow rule whose path is nearest in spelling, where none matched.
  std::string nearest_rule, nearest_path, nearest_place;
};

struct Explanation {
  TrialOutcome outcome;
  std::vector<ExplainedLeaf> leaves;
  std::vector<std::string> policies;  // names of those that match the call
};

Explanation Explain(const PolicySet& policies, const CallContext& context, std::string_view reply, int64_t now);

// Whether the policy's `match` holds for the call.
bool MatchesCall(const Policy& policy, const Subject& subject);

struct WhyNot {
  bool allowed_already = false;
  std::string allowing_rule;  // "id (file:line)", when allowed already
  // Why no rule can allow it: a guard or protected set, as a sentence. Empty: rules can.
  std::string impossible;
  // What to write under spec.unprotect and spec.allow; flow mappings, one a line.
  std::vector<std::string> unprotect;
  std::vector<std::string> rules;
  std::string policy;               // the policy to write it in: name (file:line)
  std::vector<Difference> lets_in;  // all that the policy would allow then and does not now
};

// `path`: of one leaf. `value`: unset for any. The proposal is tried before it is given: with it, the change passes.
// The error says what is wrong with the path, or that no policy matches the call.
Result<WhyNot> ExplainWhyNot(const PolicySet& policies, const CallContext& context, std::string_view path,
                             const std::optional<std::string>& value, Op op, int64_t now);

}  // namespace bulkhead::policy::tools

// What one version of policies allows that another does not: exhaustive over the schema's leaves, the names that rules
// of either version know ("*" for any other), and the ops.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "policy/rules.h"

namespace bulkhead::policy::tools {

struct Difference {
  enum class Kind {
    kNewlyAllowed,
    kNewlyDenied,
    kValues,   // allowed by both, under other conditions
    kSetting,  // of the policy: match, mode, limits, require, checks
  };
  Kind kind = Kind::kSetting;
  std::string policy;
  std::string subject;  // the path, or the setting ("match.namespaces", "check only-own-keys")
  std::string ops;      // "add, change"; empty for settings
  std::string before;   // "{enum: [a, b]}", "any value"; empty: not there
  std::string after;
};

// In the order of policies, settings, then paths. Policies are paired by name; where each side has exactly one, these
// two are a pair.
std::vector<Difference> DiffPolicies(std::span<const Policy> before, std::span<const Policy> after);

std::string_view KindName(Difference::Kind kind);  // "newly allowed", ...

// What a policy allows at one leaf: the conditions under which a change passes, one for each rule; "any value" among
// them for a rule without. Empty: nothing. `keys` as in PathPattern, "*" written as Key::any.
std::vector<std::string> AllowedAt(const Policy& policy, const PathPattern& path, Op op);

}  // namespace bulkhead::policy::tools

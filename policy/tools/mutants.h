// Rule-kill: each rule of a policy dropped, or widened in one way, must make a test fail; otherwise no test needs it.
#pragma once

#include <string>
#include <vector>

#include "policy/rules.h"

namespace bulkhead::policy::tools {

struct Mutant {
  std::string rule;    // id
  Position at;         // of the rule
  std::string change;  // "dropped", "without its pattern", "for every name"
  std::string advice;  // a case that would notice, as a sentence
  Policy policy;
};

// Changes that cannot alter a decision (a name's `const` under a path that fixes the name) are left out.
std::vector<Mutant> MakeMutants(const Policy& policy);

}  // namespace bulkhead::policy::tools

// What no policy has to say and none can switch off: the guards that hold for every reply.
#pragma once

#include <optional>
#include <string>

#include "policy/policy.h"
#include "policy/rules.h"

namespace bulkhead::policy {

struct GuardRefusal {
  std::string_view guard;  // "argo.globals", "argo.values", "argo.transitions"
  std::string reason;
};

// The protected sets, by path.
std::optional<GuardRefusal> ProtectedSet(const Mutation& mutation);

// Strings that Argo would expand, take for its own markers, or that deceive a reader. `rule` is what
// allows the leaf: its charset `text` admits lines.
std::optional<GuardRefusal> HarmfulValue(const Mutation& mutation, const Rule& rule, size_t most_bytes);

// Phases: known ones only, and only ways that Argo's own nodes take.
std::optional<GuardRefusal> BadTransition(const Mutation& mutation, const Rule& rule);

}  // namespace bulkhead::policy

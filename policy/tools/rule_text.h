// Rules and constraints as text, as an author would write them; for messages, comparison and proposals.
#pragma once

#include <optional>
#include <string>

#include "policy/rules.h"

namespace bulkhead::policy::tools {

// "{enum: [a, b], maxBytes: 64}"; "{}" for none. Keys in one order: equal texts are equal constraints.
std::string ConstraintText(const std::optional<Constraint>& constraint);

// "add, change"
std::string OpsText(const Rule& rule);

// A YAML scalar in flow style: plain where every reader takes it for this string, quoted otherwise.
std::string FlowScalar(std::string_view text);

}  // namespace bulkhead::policy::tools

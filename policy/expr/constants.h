// Operands that are always true or always false. Internal to policy/expr/.
#pragma once

#include <string_view>
#include <vector>

#include "policy/expr/tree.h"

namespace bulkhead::expr {

// Adds W063 for the whole, an operand of && and ||, or a condition that reads no variable, and for comparisons of
// a thing with itself. The tree must have passed the checker.
void FindConstants(std::string_view source, Dialect dialect, const Environment& environment, const Limits& limits,
                   const Tree& tree, std::vector<Finding>& findings);

}  // namespace bulkhead::expr

// The most that an evaluation can cost, from the sizes that types and limits give. Internal to policy/expr/.
#pragma once

#include <cstdint>

#include "policy/expr/tree.h"

namespace bulkhead::expr {

// In the units of Evaluator; saturates at UINT64_MAX. The tree must have passed the checker.
uint64_t CostBound(const Tree& tree, Dialect dialect, const Limits& limits);

}  // namespace bulkhead::expr

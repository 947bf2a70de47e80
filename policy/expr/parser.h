// Tokens to a tree. Internal to policy/expr/.
//
// The parser is recursive to Limits::depth only. It stops at the first error of syntax, but goes on behind a
// spelling of another language (E065), having built what was meant.
#pragma once

#include <string_view>
#include <vector>

#include "policy/expr/tree.h"

namespace bulkhead::expr {

// The tree is of use only when no E067 was added to `findings`.
Tree Parse(std::string_view source, Dialect dialect, const Limits& limits, std::vector<Finding>& findings);

}  // namespace bulkhead::expr

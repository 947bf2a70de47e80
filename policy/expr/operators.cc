#include "policy/expr/operators.h"

#include <array>

namespace bulkhead::expr {

namespace {

// Both languages agree on the order of the operators that they share.
constexpr std::array<BinaryOperator, 31> kBinary = {{
    {"|", Op::kNone, 0, false, false, true, "||"},
    {"||", Op::kOr, 10, false, true, true},
    {"or", Op::kOr, 10, false, false, true, "||"},
    {"&&", Op::kAnd, 15, false, true, true},
    {"and", Op::kAnd, 15, false, false, true, "&&"},
    {"&", Op::kAnd, 15, false, false, false, "&&"},
    {"==", Op::kEqual, 20, false, true, true},
    {"!=", Op::kNotEqual, 20, false, true, true},
    {"=", Op::kEqual, 20, false, false, false, "=="},
    {"===", Op::kEqual, 20, false, false, false, "=="},
    {"!==", Op::kNotEqual, 20, false, false, false, "!="},
    {"<", Op::kLess, 20, false, true, true},
    {"<=", Op::kLessEqual, 20, false, true, true},
    {">", Op::kGreater, 20, false, true, true},
    {">=", Op::kGreaterEqual, 20, false, true, true},
    {"in", Op::kIn, 20, false, true, true},
    {"contains", Op::kContains, 20, false, false, true},
    {"startsWith", Op::kStartsWith, 20, false, false, true},
    {"endsWith", Op::kEndsWith, 20, false, false, true},
    {"matches", Op::kMatches, 20, false, false, true},
    {"=~", Op::kMatches, 20, false, false, false, "matches"},
    {"!~", Op::kMatches, 20, false, false, false, "not matches", true},
    {"..", Op::kRange, 25, false, false, true},
    {"+", Op::kAdd, 30, false, true, true},
    {"-", Op::kSubtract, 30, false, true, true},
    {"*", Op::kMultiply, 60, false, true, true},
    {"/", Op::kDivide, 60, false, true, true},
    {"%", Op::kModulo, 60, false, true, true},
    {"**", Op::kPower, 100, true, false, true},
    {"^", Op::kPower, 100, true, false, true},
    {"??", Op::kCoalesce, 500, false, false, true},
}};

}  // namespace

const BinaryOperator* FindBinary(const Token& token) {
  if (token.kind != TokenKind::kOperator && token.kind != TokenKind::kWord) return nullptr;
  for (const BinaryOperator& candidate : kBinary) {
    if (!candidate.text.empty() && candidate.text == token.text) return &candidate;
  }
  return nullptr;
}

bool IsComparison(Op op) {
  return op == Op::kLess || op == Op::kLessEqual || op == Op::kGreater || op == Op::kGreaterEqual;
}

}  // namespace bulkhead::expr

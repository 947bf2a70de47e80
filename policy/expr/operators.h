// Binary operators: how tightly they bind, and what stands for those of other languages. Internal to policy/expr/.
#pragma once

#include <string_view>

#include "policy/expr/lexer.h"
#include "policy/expr/tree.h"

namespace bulkhead::expr {

struct BinaryOperator {
  std::string_view text;
  Op op = Op::kNone;  // kNone: the pipe of expr-lang
  int precedence = 0;
  bool right = false;  // associates to the right
  bool cel = false;    // belongs to the dialect
  bool expr = false;
  std::string_view instead = {};  // where it does not belong: the operator to write; empty: see the parser
  bool negated = false;           // `not in`, `!~`
};

// Unary operators bind more tightly than what has a lower precedence.
inline constexpr int kLowestPrecedence = 0;
inline constexpr int kCelUnary = 70;
inline constexpr int kExprNot = 50;
inline constexpr int kExprSign = 90;

// nullptr: `token` is no binary operator of any language we know.
const BinaryOperator* FindBinary(const Token& token);

bool IsComparison(Op op);  // < <= > >=

}  // namespace bulkhead::expr

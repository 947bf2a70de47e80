// Spellings of other expression languages (expr-lang, govaluate, CEL in the other's place), each a finding E065 with
// what to write instead. Internal to policy/expr/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/expr/operators.h"
#include "policy/expr/tree.h"

namespace bulkhead::expr {

// Borrows all it is given.
class Spelling {
 public:
  Spelling(std::string_view source, Dialect dialect, const Tree& tree, std::vector<Finding>& findings)
      : source_(source), dialect_(dialect), tree_(tree), findings_(findings) {}

  // `left op right`, where `op` does not belong to the dialect.
  void Binary(const BinaryOperator& op, bool negated, NodeId left, NodeId right, const Token& token);
  void Not(const Token& token);
  void OptionalChaining(const Token& token);
  void Replace(const Token& token, std::string_view with);
  // A call of a function that the dialect does not have in this form: E065 and the function meant, or E060 and kNone.
  Function Call(const Token& name, bool method, const std::vector<NodeId>& arguments, uint32_t begin, uint32_t end);

 private:
  void Add(std::string_view id, uint32_t offset, uint32_t length, std::string message, std::string fixit);
  std::string Text(NodeId id) const;
  std::string Operand(NodeId id) const;  // in parentheses where it needs them before a dot
  std::string Rest(const std::vector<NodeId>& arguments, size_t first) const;
  void Unknown(const Token& name, bool method);

  const std::string_view source_;
  const Dialect dialect_;
  const Tree& tree_;
  std::vector<Finding>& findings_;
};

}  // namespace bulkhead::expr

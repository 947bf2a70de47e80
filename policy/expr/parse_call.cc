// Calls: functions, methods, macros, predicates.
#include "policy/expr/parser_state.h"

namespace bulkhead::expr {

NodeId Parser::Method(NodeId target, const Token& name, uint32_t begin) {
  Advance();  // the parenthesis
  const FunctionSpec* const spec = FindFunction(dialect_, name.text, /*method=*/true);
  if (spec != nullptr && spec->predicate) return Macro(*spec, target, name, begin);
  std::vector<NodeId> arguments = {target};
  Arguments(arguments);
  return failed_ ? 0 : Finish(name, spec, /*method=*/true, std::move(arguments), begin);
}

void Parser::Arguments(std::vector<NodeId>& arguments) {
  while (!failed_ && !Current().IsOperator(")")) {
    arguments.push_back(Expression());
    if (!Accept(",")) break;
  }
  Expect(")", "to close the arguments");
}

// CEL's target.all(name, predicate).
NodeId Parser::Macro(const FunctionSpec& spec, NodeId target, const Token& name, uint32_t begin) {
  const Token variable = Current();
  if (variable.kind != TokenKind::kWord || !Ahead(1).IsOperator(",")) {
    Unexpected("expected a name for the item and a comma, as in ." + name.text + "(x, x > 0)");
    return target;
  }
  if (in_macro_) {
    findings_.push_back({"E062", name.offset, name.length,
                         "a ." + name.text + "() within another would cost their product; write two checks", ""});
  }
  Advance();
  Advance();
  const uint32_t slot = Push(variable.text);
  const bool outer = std::exchange(in_macro_, true);
  const NodeId predicate = Expression();
  in_macro_ = outer;
  Pop(1);
  Expect(")", "to close the arguments");
  return AddCall(name, spec.function, {target, predicate}, slot, begin);
}

NodeId Parser::Call(const Token& name, uint32_t begin, std::vector<NodeId> arguments) {
  Expect("(", "behind the function");
  if (failed_) return 0;
  if (cel() && name.text == "has") return Has(name);
  const FunctionSpec* const spec = FindFunction(dialect_, name.text, /*method=*/false);
  // In a function that nobody knows, # may stand as it would in one with a predicate.
  const bool unknown = spec == nullptr && !cel();
  if (!unknown && (spec == nullptr || !spec->predicate)) {
    if (!arguments.empty() && Current().IsOperator(")")) {
      Advance();
    } else {
      Arguments(arguments);
    }
    return failed_ ? 0 : Finish(name, spec, /*method=*/false, std::move(arguments), begin);
  }
  uint32_t slot = 0;
  while (!failed_ && !Current().IsOperator(")")) {
    arguments.push_back(arguments.size() == 1 ? Predicate(spec, slot) : Expression());
    if (!Accept(",")) break;
  }
  Expect(")", "to close the arguments");
  if (failed_) return 0;
  if (unknown) return Finish(name, nullptr, /*method=*/false, std::move(arguments), begin);
  return AddCall(name, spec->function, std::move(arguments), slot, begin);
}

// { # > 0 }, or the same without braces.
NodeId Parser::Predicate(const FunctionSpec* spec, uint32_t& slot) {
  slot = Push("#");
  Push("#index");
  Push(spec != nullptr && spec->function == Function::kReduce ? "#acc" : "");
  const bool braces = Accept("{");
  const NodeId predicate = Expression();
  if (braces) Expect("}", "to close the predicate");
  Pop(3);
  return predicate;
}

NodeId Parser::AddCall(const Token& name, Function function, std::vector<NodeId> arguments, uint32_t slot,
                       uint32_t begin) {
  Node node;
  node.kind = NodeKind::kCall;
  node.function = function;
  node.text = name.text;
  node.op_offset = name.offset;
  node.op_length = name.length;
  node.index = slot;
  node.children = std::move(arguments);
  return Add(std::move(node), begin);
}

NodeId Parser::Has(const Token& name) {
  const NodeId field = Expression();
  Expect(")", "to close has()");
  if (failed_) return 0;
  const NodeKind kind = tree_[field].kind;
  if (kind != NodeKind::kMember && kind != NodeKind::kIndex && kind != NodeKind::kVariable) {
    Fail(tree_[field].offset, tree_[field].length, "has() asks for a field, as in has(a.b)");
  }
  return Add(NodeKind::kHas, {field}, name.offset);
}

NodeId Parser::Finish(const Token& name, const FunctionSpec* spec, bool method, std::vector<NodeId> arguments,
                      uint32_t begin) {
  const Function function = spec != nullptr ? spec->function : spelling_.Call(name, method, arguments, begin, end_);
  return AddCall(name, function, std::move(arguments), 0, begin);
}

}  // namespace bulkhead::expr

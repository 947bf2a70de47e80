// What operators have a meaning for.
#include <utility>

#include "policy/expr/checker.h"

namespace bulkhead::expr {

void Checker::ExpectBool(NodeId id, std::string_view what) {
  const Type type = Check(id);
  if (!Comparable(type, Type::Bool())) Report("E060", id, std::string(what) + " must be a bool, not " + Named(type));
}

Type Checker::CheckUnary(NodeId id) {
  const Node& node = tree_[id];
  const NodeId child = node.children[0];
  if (node.op == Op::kNot) {
    ExpectBool(child, "the operand of !");
    return Type::Bool();
  }
  Type type = Check(child);
  if (type.Is(Kind::kAny) || IsNumber(type) || (type.Is(Kind::kDuration) && node.op == Op::kNegate)) return type;
  Report("E060", child, "a sign needs a number, not " + Named(type));
  return Type::Any();
}

Type Checker::CheckBinary(NodeId id) {
  const Op op = tree_[id].op;
  if (op == Op::kAnd || op == Op::kOr) return CheckLogic(id);
  const NodeId left_id = tree_[id].children[0];
  const NodeId right_id = tree_[id].children[1];
  const Type left = Check(left_id);
  const Type right = Check(right_id);
  switch (op) {
    case Op::kEqual:
    case Op::kNotEqual: return CheckEquality(id, left, right);
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual: return CheckOrder(id, left, right);
    case Op::kIn: return CheckIn(id, left, right);
    case Op::kCoalesce: return left == right ? left : Type::Any();
    case Op::kContains:
    case Op::kStartsWith:
    case Op::kEndsWith:
    case Op::kMatches:
      if (!Comparable(left, Type::String()) || !Comparable(right, Type::String())) Mismatch(id, left, right);
      if (op == Op::kMatches) Compile(id, right_id, "matches");
      return Type::Bool();
    case Op::kRange:
      if (!Comparable(left, Type::Int()) || !Comparable(right, Type::Int())) Mismatch(id, left, right);
      return Type::List(Type::Int());
    default: return CheckArithmetic(id, left, right);
  }
}

Type Checker::CheckLogic(NodeId id) {
  const std::set<std::string> outer = facts_;
  const bool conjunction = tree_[id].op == Op::kAnd;
  const std::string what = conjunction ? "an operand of &&" : "an operand of ||";
  for (size_t i = 0; i < tree_[id].children.size(); ++i) {
    const NodeId child = tree_[id].children[i];
    ExpectBool(child, what);
    Facts(child, conjunction, facts_);
  }
  facts_ = outer;
  return Type::Bool();
}

Type Checker::Mismatch(NodeId id, const Type& left, const Type& right) {
  const Node& node = tree_[id];
  std::string message = "\"" + std::string(source_.substr(node.op_offset, node.op_length)) + "\" has no meaning for " +
                        left.ToString() + " and " + right.ToString();
  Finding finding = {"E060", node.op_offset, node.op_length, std::move(message), ""};
  if (cel() && IsNumber(left) && IsNumber(right) && left.kind() != right.kind()) {
    const NodeId whole = node.children[left.Is(Kind::kInt) ? 0 : 1];
    finding.message += "; convert the int by double()";
    finding.offset = tree_[whole].offset;
    finding.length = tree_[whole].length;
    finding.fixit = "double(" + Text(whole) + ")";
  }
  findings_.push_back(std::move(finding));
  return Type::Any();
}

Type Checker::CheckEquality(NodeId id, const Type& left, const Type& right) {
  const Node& node = tree_[id];
  if (left.Is(Kind::kNull) != right.Is(Kind::kNull) && !left.Is(Kind::kAny) && !right.Is(Kind::kAny)) {
    if (!cel()) return Type::Bool();
    const NodeId other = node.children[left.Is(Kind::kNull) ? 1 : 0];
    const NodeKind kind = tree_[other].kind;
    const bool askable = kind == NodeKind::kMember || kind == NodeKind::kIndex ||
                         (kind == NodeKind::kVariable && environment_.variables()[tree_[other].index].optional);
    const std::string has = (node.op == Op::kEqual ? "!has(" : "has(") + Text(other) + ")";
    Report("E060", id,
           Named(tree_[other].type) + " is never null" + (askable ? "; ask whether it is there by has()" : ""),
           askable ? has : "");
    return Type::Bool();
  }
  // expr-lang compares numbers across their types, also within lists.
  const bool alike = !cel() && ((IsNumber(left) && IsNumber(right)) || left.kind() == right.kind());
  if (!alike && !Comparable(left, right)) Mismatch(id, left, right);
  return Type::Bool();
}

Type Checker::CheckOrder(NodeId id, const Type& left, const Type& right) {
  const auto ordered = [this](const Type& type) {
    const Kind kind = type.kind();
    const bool both = kind == Kind::kAny || IsNumber(type) || kind == Kind::kString;
    return both || (cel() && (kind == Kind::kBool || kind == Kind::kBytes || kind == Kind::kDuration));
  };
  const bool numbers = !cel() && IsNumber(left) && IsNumber(right);
  if (!ordered(left) || !ordered(right) || (!numbers && !Comparable(left, right))) Mismatch(id, left, right);
  return Type::Bool();
}

Type Checker::CheckIn(NodeId id, const Type& left, const Type& right) {
  const Node& node = tree_[id];
  if (right.Is(Kind::kAny)) return Type::Bool();
  if (right.Is(Kind::kString)) {
    const std::string fixit = cel() ? Text(node.children[1]) + ".contains(" + Text(node.children[0]) + ")"
                                    : Text(node.children[1]) + " contains " + Text(node.children[0]);
    Report("E060", id, "\"in\" looks into lists and maps, not into text", fixit);
    return Type::Bool();
  }
  const bool list = right.Is(Kind::kList);
  const bool map = right.Is(Kind::kMap) || (right.Is(Kind::kObject) && !cel());
  const Type wanted = list ? right.element() : right.Is(Kind::kObject) ? Type::String() : right.key();
  const bool numbers = !cel() && IsNumber(left) && IsNumber(wanted);
  if ((!list && !map) || (!Comparable(left, wanted) && !numbers)) Mismatch(id, left, right);
  return Type::Bool();
}

Type Checker::CheckArithmetic(NodeId id, const Type& left, const Type& right) {
  const Op op = tree_[id].op;
  if (left.Is(Kind::kAny) || right.Is(Kind::kAny)) {
    if (!cel() && (op == Op::kDivide || op == Op::kPower)) return Type::Double();
    return Type::Any();
  }
  if (IsNumber(left) && IsNumber(right)) {
    const bool ints = left.Is(Kind::kInt) && right.Is(Kind::kInt);
    if (op == Op::kModulo) return ints ? left : Mismatch(id, left, right);
    if (left == right && cel()) return left;
    if (!cel()) return ints && op != Op::kDivide && op != Op::kPower ? Type::Int() : Type::Double();
    return Mismatch(id, left, right);
  }
  const bool same = Comparable(left, right);
  if (op == Op::kAdd && same && left.Is(Kind::kString)) return Type::String();
  if (op == Op::kAdd && same && cel() && left.Is(Kind::kBytes)) return Type::Bytes();
  if (op == Op::kAdd && same && cel() && left.Is(Kind::kList)) {
    return left == right ? left : left.element().Is(Kind::kAny) ? right : left;
  }
  const bool sum = op == Op::kAdd || op == Op::kSubtract;
  if (sum && same && left.Is(Kind::kDuration)) return left;
  return Mismatch(id, left, right);
}

}  // namespace bulkhead::expr

#include "policy/expr/evaluator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "policy/expr/numbers.h"
#include "runner/base/text.h"

namespace bulkhead::expr {

namespace {

constexpr size_t kDeepestDocument = 128;  // of documents

}  // namespace

Evaluator::Evaluator(std::string_view source, Dialect dialect, const Environment& environment, const Limits& limits,
                     const Tree& tree, std::span<const Ref> bindings)
    : source_(source),
      dialect_(dialect),
      environment_(environment),
      limits_(limits),
      tree_(tree),
      bindings_(bindings),
      arena_(limits.memory_bytes) {}

bool Evaluator::Run(NodeId root, Operand& out) {
  return Make(tree_.slots, root, locals_) && Eval(root, out);
}

bool Evaluator::Fail(Fault fault, NodeId place, std::string message) {
  const Node& node = tree_[place];
  failure_ = {fault, node.offset, node.length, std::move(message)};
  return false;
}

bool Evaluator::Charge(uint64_t units, NodeId place) {
  cost_ += std::min(units, UINT64_MAX - cost_);
  return cost_ <= limits_.cost ||
         Fail(Fault::kCost, place, "the evaluation took more than " + std::to_string(limits_.cost) + " cost units");
}

std::string Evaluator::Quote(NodeId id) const {
  constexpr size_t kMost = 60;
  std::string_view text = source_.substr(tree_[id].offset, tree_[id].length);
  if (text.size() <= kMost) return EscapeForTerminal(text);
  // Not in the middle of a character.
  size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return EscapeForTerminal(text.substr(0, end)) + "...";
}

namespace {

std::string_view Name(Kind kind) {
  switch (kind) {
    case Kind::kAny: return "any";
    case Kind::kNull: return "null";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kDouble: return "double";
    case Kind::kString: return "string";
    case Kind::kBytes: return "bytes";
    case Kind::kDuration: return "duration";
    case Kind::kList: return "list";
    case Kind::kMap:
    case Kind::kObject: return "map";
  }
  return "any";
}

}  // namespace

bool Evaluator::WrongType(NodeId place, std::string_view wanted, const Operand& found) {
  return Fail(Fault::kType, place,
              Quote(place) + " must be " + std::string(wanted) + ", but is of type " + std::string(Name(found.kind)));
}

bool Evaluator::Keep(std::string_view text, NodeId place, Operand& out, Kind kind) {
  char* copy = nullptr;
  if (!Make(text.size(), place, copy) || !Charge(TextUnits(text.size()), place)) return false;
  std::copy(text.begin(), text.end(), copy);
  out = Operand::String({copy, text.size()});
  out.kind = kind;
  return true;
}

bool Evaluator::Eval(NodeId id, Operand& out) {
  if (!Charge(1, id)) return false;
  const Node& node = tree_[id];
  switch (node.kind) {
    case NodeKind::kLiteral:
      out = {};
      out.kind = node.type.kind();
      out.boolean = node.boolean;
      out.integer = node.integer;
      out.number = node.number;
      out.text = node.text;
      return true;
    case NodeKind::kVariable: return EvalVariable(id, out);
    case NodeKind::kLocal: out = locals_[node.index]; return true;
    case NodeKind::kMember:
    case NodeKind::kIndex: return EvalMember(id, out);
    case NodeKind::kSlice: return EvalSlice(id, out);
    case NodeKind::kChain:
      if (!Eval(node.children[0], out)) return false;
      if (std::exchange(broken_, false)) out = {};
      return true;
    case NodeKind::kHas: {
      bool present = false;
      Operand ignored;
      if (!Present(node.children[0], ignored, present)) return false;
      out = Operand::Bool(present);
      return true;
    }
    case NodeKind::kUnary: return EvalUnary(id, out);
    case NodeKind::kBinary: return EvalBinary(id, out);
    case NodeKind::kConditional: return EvalConditional(id, out);
    case NodeKind::kList: return EvalList(id, out);
    case NodeKind::kMap: return EvalMap(id, out);
    case NodeKind::kCall: return EvalCall(id, out);
    case NodeKind::kLet: return Eval(node.children[0], locals_[node.index]) && Eval(node.children[1], out);
  }
  return Fail(Fault::kType, id, "no such node");
}

bool Evaluator::EvalBool(NodeId id, bool& out) {
  Operand operand;
  if (!Eval(id, operand)) return false;
  if (!operand.Is(Kind::kBool)) return WrongType(id, "a bool", operand);
  out = operand.boolean;
  return true;
}

bool Evaluator::EvalLogic(NodeId id, Operand& out) {
  const bool conjunction = tree_[id].op == Op::kAnd;
  bool value = conjunction;
  for (const NodeId child : tree_[id].children) {
    if (!EvalBool(child, value)) return false;
    if (value != conjunction) break;
  }
  out = Operand::Bool(value);
  return true;
}

bool Evaluator::EvalUnary(NodeId id, Operand& out) {
  const Node& node = tree_[id];
  if (node.op == Op::kNot) {
    bool value = false;
    if (!EvalBool(node.children[0], value)) return false;
    out = Operand::Bool(!value);
    return true;
  }
  if (!Eval(node.children[0], out)) return false;
  const bool duration = out.Is(Kind::kDuration) && cel();
  if (!out.is_number() && !duration) return WrongType(node.children[0], "a number", out);
  if (node.op == Op::kPlus) return true;
  if (out.integer == INT64_MIN) return Fail(Fault::kArithmetic, id, Quote(id) + " overflows 64 bits");
  out.integer = -out.integer;
  out.number = -out.number;
  return true;
}

bool Evaluator::EvalBinary(NodeId id, Operand& out) {
  const Node& node = tree_[id];
  if (node.op == Op::kAnd || node.op == Op::kOr) return EvalLogic(id, out);
  if (node.op == Op::kCoalesce) return EvalCoalesce(id, out);
  Operand a;
  Operand b;
  if (!Eval(node.children[0], a) || !Eval(node.children[1], b)) return false;
  bool truth = false;
  int order = 0;
  switch (node.op) {
    case Op::kEqual:
    case Op::kNotEqual:
      if (!Equal(a, b, id, truth)) return false;
      out = Operand::Bool(truth == (node.op == Op::kEqual));
      return true;
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual:
      if (!Order(a, b, id, order)) return false;
      truth = (order == -1 && (node.op == Op::kLess || node.op == Op::kLessEqual)) ||
              (order == 1 && (node.op == Op::kGreater || node.op == Op::kGreaterEqual)) ||
              (order == 0 && (node.op == Op::kLessEqual || node.op == Op::kGreaterEqual));
      out = Operand::Bool(truth);
      return true;
    case Op::kIn:
      if (!In(a, b, id, truth)) return false;
      out = Operand::Bool(truth);
      return true;
    case Op::kContains:
    case Op::kStartsWith:
    case Op::kEndsWith:
    case Op::kMatches: return TextOperator(id, a, b, out);
    case Op::kRange: return Range(a, b, id, out);
    default: return Arithmetic(node.op, a, b, id, out);
  }
}

bool Evaluator::EvalCoalesce(NodeId id, Operand& out) {
  const Node& node = tree_[id];
  if (!Eval(node.children[0], out)) return false;
  return !out.is_nil() || Eval(node.children[1], out);
}

bool Evaluator::EvalConditional(NodeId id, Operand& out) {
  const std::vector<NodeId>& children = tree_[id].children;
  if (children[0] == children[1]) {  // a ?: b evaluates a once
    if (!Eval(children[0], out)) return false;
    if (!out.Is(Kind::kBool)) return WrongType(children[0], "a bool", out);
    return out.boolean || Eval(children[2], out);
  }
  bool condition = false;
  return EvalBool(children[0], condition) && Eval(children[condition ? 1 : 2], out);
}

bool Evaluator::EvalList(NodeId id, Operand& out) {
  const std::vector<NodeId>& children = tree_[id].children;
  Operand* items = nullptr;
  if (!Make(children.size(), id, items)) return false;
  for (size_t i = 0; i < children.size(); ++i) {
    if (!Eval(children[i], items[i])) return false;
  }
  out = Operand::List(items, children.size());
  return true;
}

bool Evaluator::EvalMap(NodeId id, Operand& out) {
  const std::vector<NodeId>& children = tree_[id].children;
  Entry* entries = nullptr;
  if (!Make(children.size() / 2, id, entries)) return false;
  size_t count = 0;
  for (size_t i = 0; i < children.size(); i += 2) {
    Entry entry;
    if (!Eval(children[i], entry.key) || !Eval(children[i + 1], entry.value)) return false;
    const Kind kind = entry.key.kind;
    const bool plain = kind == Kind::kString || (cel() && (kind == Kind::kInt || kind == Kind::kBool));
    if (!plain) return WrongType(children[i], "the key of a map", entry.key);
    size_t at = 0;
    for (; at < count; ++at) {
      bool same = false;
      if (!Charge(1, id) || !Equal(entries[at].key, entry.key, id, same)) return false;
      if (same) break;
    }
    if (at < count && cel()) return Fail(Fault::kType, children[i], Quote(children[i]) + " occurs twice in the map");
    entries[at] = entry;
    if (at == count) ++count;
  }
  out = Operand::Map(entries, count);
  return true;
}

bool Evaluator::EvalSlice(NodeId id, Operand& out) {
  const Node& node = tree_[id];
  Operand target;
  if (!Eval(node.children[0], target)) return false;
  if (broken_) return true;
  const bool text = target.Is(Kind::kString);
  if (!text && !target.Is(Kind::kList)) return WrongType(node.children[0], "a string or a list", target);
  const auto size = static_cast<int64_t>(text ? target.text.size() : Count(target));
  int64_t bounds[2] = {0, size};
  for (const size_t i : {0U, 1U}) {
    Operand bound;
    if (!Eval(node.children[i + 1], bound)) return false;
    if (bound.Is(Kind::kNull)) continue;
    if (!bound.Is(Kind::kInt)) return WrongType(node.children[i + 1], "an int", bound);
    const int64_t from_end = bound.integer < 0 ? bound.integer + size : bound.integer;
    bounds[i] = std::clamp<int64_t>(from_end, 0, size);
  }
  const auto begin = static_cast<size_t>(std::min(bounds[0], bounds[1]));
  const auto count = static_cast<size_t>(bounds[1]) - begin;
  if (text) {
    const std::string_view part = target.text.substr(begin, count);
    if (!Charge(TextUnits(part.size()), id)) return false;
    if (!IsValidUtf8(part)) return Fail(Fault::kType, id, "the slice would cut a character of more than one byte");
    out = Operand::String(part);
    return true;
  }
  Operand* items = nullptr;
  if (!Charge(count, id) || !Make(count, id, items)) return false;
  for (size_t i = 0; i < count; ++i) {
    if (!Item(target, begin + i, id, items[i])) return false;
  }
  out = Operand::List(items, count);
  return true;
}

bool Evaluator::ToValue(const Operand& operand, NodeId place, Value& out, size_t depth) {
  if (depth > kDeepestDocument) return Fail(Fault::kCost, place, "the value is nested too deep");
  switch (operand.kind) {
    case Kind::kAny:
    case Kind::kNull: out = Value::Null(); return true;
    case Kind::kBool: out = Value::Bool(operand.boolean); return true;
    case Kind::kInt: out = Value::Number(operand.integer); return true;
    case Kind::kDouble:
      if (std::isnan(operand.number) || std::isinf(operand.number)) {
        out = Value::String(std::isnan(operand.number) ? "NaN" : operand.number > 0 ? "Infinity" : "-Infinity");
        return true;
      }
      out = Value::Number(0);
      out.text = FormatJson(operand.number);
      if (out.text.find_first_of(".e") == std::string::npos) out.text += ".0";
      return true;
    case Kind::kString:
    case Kind::kBytes: out = Value::String(std::string(operand.text)); return true;
    case Kind::kDuration: out = Value::String(FormatSeconds(operand.integer)); return true;
    case Kind::kList: {
      out = Value::Array();
      const size_t count = Count(operand);
      if (!Charge(count, place)) return false;
      for (size_t i = 0; i < count; ++i) {
        Operand item;
        if (!Item(operand, i, place, item) || !ToValue(item, place, out.items.emplace_back(), depth + 1)) return false;
      }
      return true;
    }
    case Kind::kMap:
    case Kind::kObject: {
      out = Value::Object();
      Operand map;
      if (!Entries(operand, place, map)) return false;
      for (size_t i = 0; i < map.count; ++i) {
        const Operand& key = map.entries[i].key;
        Member member;
        member.key = key.Is(Kind::kString) ? std::string(key.text)
                     : key.Is(Kind::kInt)  ? std::to_string(key.integer)
                                           : std::string(key.boolean ? "true" : "false");
        if (!ToValue(map.entries[i].value, place, member.value, depth + 1)) return false;
        out.members.push_back(std::move(member));
      }
      return true;
    }
  }
  return true;
}

}  // namespace bulkhead::expr

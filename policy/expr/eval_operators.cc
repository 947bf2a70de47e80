// Equality, order, membership, arithmetic.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "policy/expr/evaluator.h"
#include "policy/expr/numbers.h"

namespace bulkhead::expr {

namespace {

constexpr size_t kDeepestComparison = 128;

}  // namespace

bool Evaluator::Equal(const Operand& a, const Operand& b, NodeId place, bool& out, size_t depth) {
  out = false;
  if (depth > kDeepestComparison) return Fail(Fault::kCost, place, "the values compared are nested too deep");
  if (a.is_number() && b.is_number()) {
    out = a.Is(Kind::kInt) && b.Is(Kind::kInt) ? a.integer == b.integer
          : a.Is(Kind::kInt)                   ? CompareNumbers(a.integer, b.number) == 0
          : b.Is(Kind::kInt)                   ? CompareNumbers(b.integer, a.number) == 0
                                               : a.number == b.number;
    return true;
  }
  if (a.Is(Kind::kNull) || b.Is(Kind::kNull)) {
    out = a.is_nil() && b.is_nil();
    return true;
  }
  if (a.kind != b.kind && !(a.is_map() && b.is_map())) return true;
  switch (a.kind) {
    case Kind::kBool: out = a.boolean == b.boolean; return true;
    case Kind::kDuration: out = a.integer == b.integer; return true;
    case Kind::kString:
    case Kind::kBytes:
      if (a.text.size() != b.text.size()) return true;
      out = a.text == b.text;
      return Charge(TextUnits(a.text.size()), place);
    case Kind::kList: {
      const size_t count = Count(a);
      if (count != Count(b)) return true;
      if (!Charge(count, place)) return false;
      out = true;
      for (size_t i = 0; i < count && out; ++i) {
        Operand x;
        Operand y;
        if (!Item(a, i, place, x) || !Item(b, i, place, y) || !Equal(x, y, place, out, depth + 1)) return false;
      }
      return true;
    }
    case Kind::kMap:
    case Kind::kObject: {
      Operand left;
      Operand right;
      if (!Entries(a, place, left) || !Entries(b, place, right)) return false;
      out = left.count == right.count;
      for (size_t i = 0; i < left.count && out; ++i) {
        bool found = false;
        for (size_t j = 0; j < right.count && !found; ++j) {
          const Operand& other = right.entries[j].key;
          if (!Charge(1, place) || !Equal(left.entries[i].key, other, place, found, depth + 1)) return false;
          if (found && !Equal(left.entries[i].value, right.entries[j].value, place, out, depth + 1)) return false;
        }
        out = out && found;
      }
      return true;
    }
    default: return true;
  }
}

// -1, 0, 1; 2 when nothing can be said, as of NaN.
bool Evaluator::Order(const Operand& a, const Operand& b, NodeId place, int& out) {
  const auto compare = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
  if (a.is_number() && b.is_number()) {
    if (a.Is(Kind::kInt) && b.Is(Kind::kInt)) {
      out = compare(a.integer, b.integer);
    } else if (a.Is(Kind::kInt)) {
      out = CompareNumbers(a.integer, b.number);
    } else if (b.Is(Kind::kInt)) {
      const int turned = CompareNumbers(b.integer, a.number);
      out = turned == 2 ? 2 : -turned;
    } else {
      out = std::isnan(a.number) || std::isnan(b.number) ? 2 : compare(a.number, b.number);
    }
    return true;
  }
  if (a.kind == b.kind) {
    switch (a.kind) {
      case Kind::kString:
      case Kind::kBytes: {
        if (a.Is(Kind::kBytes) && !cel()) break;
        out = compare(a.text.compare(b.text), 0);
        return Charge(TextUnits(std::min(a.text.size(), b.text.size())), place);
      }
      case Kind::kBool:
        if (!cel()) break;
        out = compare(static_cast<int>(a.boolean), static_cast<int>(b.boolean));
        return true;
      case Kind::kDuration: out = compare(a.integer, b.integer); return true;
      default: break;
    }
  }
  return Fail(Fault::kType, place, "the operands of " + Quote(place) + " have no order");
}

bool Evaluator::In(const Operand& needle, const Operand& hay, NodeId place, bool& out) {
  out = false;
  if (hay.Is(Kind::kList)) {
    const size_t count = Count(hay);
    for (size_t i = 0; i < count && !out; ++i) {
      Operand item;
      if (!Charge(1, place) || !Item(hay, i, place, item) || !Equal(needle, item, place, out)) return false;
    }
    return true;
  }
  if (hay.is_map()) {
    if (hay.borrowed && hay.Is(Kind::kMap) && hay.type->key_field().empty()) {
      if (!Charge(FindUnits(Count(hay)), place)) return false;
      out = needle.Is(Kind::kString) && hay.ref.reader->Find(hay.ref.node, needle.text) != nullptr;
      return true;
    }
    Operand map;
    if (!Entries(hay, place, map)) return false;
    for (size_t i = 0; i < map.count && !out; ++i) {
      if (!Charge(1, place) || !Equal(map.entries[i].key, needle, place, out)) return false;
    }
    return true;
  }
  if (hay.Is(Kind::kNull) && !cel()) return true;
  return WrongType(tree_[place].children[1], "a list or a map", hay);
}

bool Evaluator::IntArithmetic(Op op, int64_t a, int64_t b, NodeId place, Operand& out) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Op::kAdd: overflow = __builtin_add_overflow(a, b, &result); break;
    case Op::kSubtract: overflow = __builtin_sub_overflow(a, b, &result); break;
    case Op::kMultiply: overflow = __builtin_mul_overflow(a, b, &result); break;
    default:
      if (b == 0) return Fail(Fault::kArithmetic, place, Quote(place) + " divides by zero");
      overflow = a == INT64_MIN && b == -1;
      if (!overflow) result = op == Op::kDivide ? a / b : a % b;
  }
  if (overflow) return Fail(Fault::kArithmetic, place, Quote(place) + " overflows 64 bits");
  out = Operand::Int(result);
  return true;
}

bool Evaluator::Arithmetic(Op op, const Operand& a, const Operand& b, NodeId place, Operand& out) {
  const bool ints = a.Is(Kind::kInt) && b.Is(Kind::kInt);
  if (ints && (cel() || (op != Op::kDivide && op != Op::kPower)))
    return IntArithmetic(op, a.integer, b.integer, place, out);
  const bool doubles = a.Is(Kind::kDouble) && b.Is(Kind::kDouble);
  if (doubles || (!cel() && a.is_number() && b.is_number())) {
    const double x = a.as_double();
    const double y = b.as_double();
    switch (op) {
      case Op::kAdd: out = Operand::Double(x + y); return true;
      case Op::kSubtract: out = Operand::Double(x - y); return true;
      case Op::kMultiply: out = Operand::Double(x * y); return true;
      case Op::kDivide: out = Operand::Double(x / y); return true;
      case Op::kPower: out = Operand::Double(std::pow(x, y)); return true;
      default: break;
    }
  }
  if (op == Op::kAdd && a.kind == b.kind &&
      (a.Is(Kind::kString) || (cel() && (a.Is(Kind::kBytes) || a.Is(Kind::kList))))) {
    return Join(a, b, place, out);
  }
  const bool durations = a.Is(Kind::kDuration) && b.Is(Kind::kDuration);
  if (durations && (op == Op::kAdd || op == Op::kSubtract)) {
    if (!IntArithmetic(op, a.integer, b.integer, place, out)) return false;
    out.kind = Kind::kDuration;
    return true;
  }
  return Fail(Fault::kType, place, "the operands of " + Quote(place) + " are of types that it has no meaning for");
}

bool Evaluator::Join(const Operand& a, const Operand& b, NodeId place, Operand& out) {
  if (a.Is(Kind::kList)) {
    const size_t left = Count(a);
    const size_t count = left + Count(b);
    Operand* items = nullptr;
    if (!Make(count, place, items) || !Charge(count, place)) return false;
    for (size_t i = 0; i < count; ++i) {
      if (!(i < left ? Item(a, i, place, items[i]) : Item(b, i - left, place, items[i]))) return false;
    }
    out = Operand::List(items, count);
    return true;
  }
  char* text = nullptr;
  const size_t size = a.text.size() + b.text.size();
  if (!Make(size, place, text) || !Charge(TextUnits(size), place)) return false;
  std::copy(a.text.begin(), a.text.end(), text);
  std::copy(b.text.begin(), b.text.end(), text + a.text.size());
  const Kind kind = a.kind;
  out = Operand::String({text, size});
  out.kind = kind;
  return true;
}

bool Evaluator::Range(const Operand& a, const Operand& b, NodeId place, Operand& out) {
  if (!a.Is(Kind::kInt)) return WrongType(tree_[place].children[0], "an int", a);
  if (!b.Is(Kind::kInt)) return WrongType(tree_[place].children[1], "an int", b);
  const uint64_t count =
      b.integer < a.integer ? 0 : static_cast<uint64_t>(b.integer) - static_cast<uint64_t>(a.integer) + 1;
  Operand* items = nullptr;
  if (!Make(count, place, items) || !Charge(count, place)) return false;
  for (uint64_t i = 0; i < count; ++i) items[i] = Operand::Int(a.integer + static_cast<int64_t>(i));
  out = Operand::List(items, count);
  return true;
}

bool Evaluator::TextOperator(NodeId id, const Operand& a, const Operand& b, Operand& out) {
  const Node& node = tree_[id];
  if (a.Is(Kind::kNull) && !cel()) {  // expr-lang: nil contains nothing
    out = Operand::Bool(false);
    return true;
  }
  if (!a.Is(Kind::kString)) return WrongType(node.children[0], "a string", a);
  if (!b.Is(Kind::kString)) return WrongType(node.children[1], "a string", b);
  if (!Charge(TextUnits(a.text.size() + b.text.size()), id)) return false;
  switch (node.op) {
    case Op::kContains:
      out = Operand::Bool(memmem(a.text.data(), a.text.size(), b.text.data(), b.text.size()) != nullptr);
      return true;
    case Op::kStartsWith: out = Operand::Bool(a.text.starts_with(b.text)); return true;
    case Op::kEndsWith: out = Operand::Bool(a.text.ends_with(b.text)); return true;
    default:
      if (!Charge(PatternUnits(a.text.size()), id)) return false;
      out = Operand::Bool(RE2::PartialMatch(re2::StringPiece(a.text.data(), a.text.size()), *node.pattern));
      return true;
  }
}

}  // namespace bulkhead::expr

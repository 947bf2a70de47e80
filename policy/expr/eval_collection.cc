// Functions of lists and maps, with and without a predicate.
#include <algorithm>
#include <bit>
#include <cmath>

#include "policy/expr/evaluator.h"
#include "policy/expr/numbers.h"

namespace bulkhead::expr {

bool Evaluator::CallSize(NodeId id, const Operand& operand, Operand& out) {
  switch (operand.kind) {
    case Kind::kString: {
      if (!Charge(TextUnits(operand.text.size()), id)) return false;
      const auto starts = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };
      out = Operand::Int(std::count_if(operand.text.begin(), operand.text.end(), starts));
      return true;
    }
    case Kind::kBytes: out = Operand::Int(static_cast<int64_t>(operand.text.size())); return true;
    case Kind::kList: out = Operand::Int(static_cast<int64_t>(Count(operand))); return true;
    case Kind::kMap:
    case Kind::kObject: {
      Operand map;
      if (!Entries(operand, id, map)) return false;
      out = Operand::Int(static_cast<int64_t>(map.count));
      return true;
    }
    default: return WrongType(tree_[id].children[0], "a string, a list or a map", operand);
  }
}

bool Evaluator::CallCollection(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const Node& node = tree_[id];
  const Function function = node.function;
  const NodeId place = node.children[0];
  if (function == Function::kSize) return CallSize(id, arguments[0], out);
  if (function == Function::kGet) {
    out = {};
    bool found = false;
    if (arguments[0].Is(Kind::kNull) || (arguments[0].Is(Kind::kList) && !arguments[1].Is(Kind::kInt))) return true;
    Operand value;
    if (!Lookup(arguments[0], arguments[1], id, value, found)) return false;
    if (found) out = value;
    return true;
  }
  if (function == Function::kKeys || function == Function::kValues) {
    if (!arguments[0].is_map()) return WrongType(place, "a map", arguments[0]);
    Operand map;
    Operand* items = nullptr;
    if (!Entries(arguments[0], id, map) || !Make(map.count, id, items)) return false;
    for (size_t i = 0; i < map.count; ++i) {
      items[i] = function == Function::kKeys ? map.entries[i].key : map.entries[i].value;
    }
    out = Operand::List(items, map.count);
    return true;
  }
  size_t total = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool list = i == 0 || function == Function::kConcat;
    if (list && !arguments[i].Is(Kind::kList)) return WrongType(node.children[i], "a list", arguments[i]);
    if (list) total += Count(arguments[i]);
  }
  if (function == Function::kFirst || function == Function::kLast) {
    out = {};
    return total == 0 || Item(arguments[0], function == Function::kFirst ? 0 : total - 1, id, out);
  }
  if (function == Function::kSort) return CallSort(id, arguments, out);
  if (function == Function::kUniq) return CallUniq(id, arguments[0], out);
  if (function == Function::kTake) {
    if (!arguments[1].Is(Kind::kInt)) return WrongType(node.children[1], "an int", arguments[1]);
    if (arguments[1].integer < 0) {
      return Fail(Fault::kArithmetic, id, Quote(node.children[1]) + " must not be negative");
    }
    total = std::min(total, static_cast<size_t>(arguments[1].integer));
  }
  Operand* items = nullptr;
  if (!Charge(total, id) || !Make(total, id, items)) return false;
  size_t at = 0;
  for (const Operand& argument : arguments) {
    if (!argument.Is(Kind::kList)) continue;
    const size_t count = std::min(Count(argument), total - at);
    for (size_t i = 0; i < count; ++i, ++at) {
      if (!Item(argument, function == Function::kReverse ? count - 1 - i : i, id, items[at])) return false;
    }
  }
  out = Operand::List(items, total);
  return true;
}

bool Evaluator::CallUniq(NodeId id, const Operand& list, Operand& out) {
  const size_t total = Count(list);
  Operand* items = nullptr;
  if (!Charge(total, id) || !Make(total, id, items)) return false;
  size_t count = 0;
  for (size_t i = 0; i < total; ++i) {
    Operand item;
    if (!Item(list, i, id, item)) return false;
    bool seen = false;
    for (size_t k = 0; k < count && !seen; ++k) {
      if (!Charge(1, id) || !Equal(items[k], item, id, seen)) return false;
    }
    if (!seen) items[count++] = item;
  }
  out = Operand::List(items, count);
  return true;
}

bool Evaluator::CallSort(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const NodeId place = tree_[id].children[0];
  const bool has_order = arguments.size() > 1;
  if (has_order && !arguments[1].Is(Kind::kString)) return WrongType(tree_[id].children[1], "a string", arguments[1]);
  const std::string_view order = has_order ? arguments[1].text : "asc";
  if (order != "asc" && order != "desc") {
    return Fail(Fault::kType, tree_[id].children[1], "the order of sort() must be \"asc\" or \"desc\"");
  }
  const size_t count = Count(arguments[0]);
  Operand* items = nullptr;
  if (!Charge(count, id) || !Make(count, id, items)) return false;
  // Charged before, as a comparison cannot fail: log2(n) rounds over all items and all text.
  uint64_t text = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!Item(arguments[0], i, place, items[i])) return false;
    const bool number = items[i].is_number() && items[0].is_number();
    if (!number && !(items[i].Is(Kind::kString) && items[0].Is(Kind::kString))) {
      return WrongType(place, "a list of numbers or a list of strings", items[i]);
    }
    text += items[i].text.size();
  }
  if (!Charge(static_cast<uint64_t>(std::bit_width(count)) * (count + TextUnits(text)), id)) return false;
  const auto less = [](const Operand& a, const Operand& b) {
    if (a.Is(Kind::kString)) return a.text < b.text;
    // NaN before all others, and ints against doubles exactly: else there would be no order.
    if (a.Is(Kind::kDouble) && std::isnan(a.number)) return !(b.Is(Kind::kDouble) && std::isnan(b.number));
    if (a.Is(Kind::kInt)) {
      return b.Is(Kind::kInt) ? a.integer < b.integer : CompareNumbers(a.integer, b.number) == -1;
    }
    return b.Is(Kind::kInt) ? CompareNumbers(b.integer, a.number) == 1 : a.number < b.number;
  };
  const bool descending = order == "desc";
  std::stable_sort(items, items + count,
                   [&](const Operand& a, const Operand& b) { return descending ? less(b, a) : less(a, b); });
  out = Operand::List(items, count);
  return true;
}

// --- predicates -------------------------------------------------------------------------------------

bool Evaluator::EvalPredicate(NodeId id, Operand& out) {
  const Node& node = tree_[id];
  const Function function = node.function;
  const NodeId place = node.children[0];
  Operand list;
  if (!Eval(place, list)) return false;
  if (cel() && list.is_map()) {
    Operand map;
    Operand* keys = nullptr;
    if (!Entries(list, id, map) || !Make(map.count, id, keys)) return false;
    for (size_t i = 0; i < map.count; ++i) keys[i] = map.entries[i].key;
    list = Operand::List(keys, map.count);
  }
  if (!list.Is(Kind::kList)) return WrongType(place, "a list", list);
  if (function == Function::kReduce) return EvalReduce(id, list, out);
  if (function == Function::kSum) return EvalSum(id, list, out);
  const size_t count = Count(list);
  const bool collects = function == Function::kFilter || function == Function::kMap;
  Operand* items = nullptr;
  if (collects && !Make(count, id, items)) return false;
  const bool backwards = function == Function::kFindLast || function == Function::kFindLastIndex;
  size_t hits = 0;
  for (size_t step = 0; step < count; ++step) {
    const size_t i = backwards ? count - 1 - step : step;
    Operand item;
    if (!Charge(1, id) || !Item(list, i, place, item)) return false;
    if (node.children.size() > 1) {
      locals_[node.index] = item;
      if (!cel()) locals_[node.index + 1] = Operand::Int(static_cast<int64_t>(i));
    }
    if (function == Function::kMap) {
      if (!Eval(node.children[1], items[hits++])) return false;
      continue;
    }
    bool holds = item.boolean;  // count() of bools
    if (node.children.size() > 1) {
      if (!EvalBool(node.children[1], holds)) return false;
    } else if (!item.Is(Kind::kBool)) {
      return WrongType(place, "a list of bools", item);
    }
    if (function == Function::kAll && !holds) {
      out = Operand::Bool(false);
      return true;
    }
    if (!holds) continue;
    if (function == Function::kFilter) items[hits] = item;
    ++hits;
    switch (function) {
      case Function::kExists: out = Operand::Bool(true); return true;
      case Function::kNoneOf: out = Operand::Bool(false); return true;
      case Function::kFind:
      case Function::kFindLast: out = item; return true;
      case Function::kFindIndex:
      case Function::kFindLastIndex: out = Operand::Int(static_cast<int64_t>(i)); return true;
      default: break;
    }
  }
  switch (function) {
    case Function::kAll:
    case Function::kNoneOf: out = Operand::Bool(true); return true;
    case Function::kExists: out = Operand::Bool(false); return true;
    case Function::kExistsOne: out = Operand::Bool(hits == 1); return true;
    case Function::kCount: out = Operand::Int(static_cast<int64_t>(hits)); return true;
    case Function::kFindIndex:
    case Function::kFindLastIndex:
    case Function::kFind:
    case Function::kFindLast: out = {}; return true;
    default: out = Operand::List(items, hits); return true;
  }
}

bool Evaluator::EvalReduce(NodeId id, const Operand& list, Operand& out) {
  const Node& node = tree_[id];
  const size_t count = Count(list);
  Operand sum;
  size_t i = 0;
  if (node.children.size() > 2) {
    if (!Eval(node.children[2], sum)) return false;
  } else {
    if (count == 0) return Fail(Fault::kAbsent, id, "reduce() of an empty list needs a value to begin with");
    if (!Item(list, i++, id, sum)) return false;
  }
  for (; i < count; ++i) {
    if (!Charge(1, id) || !Item(list, i, node.children[0], locals_[node.index])) return false;
    locals_[node.index + 1] = Operand::Int(static_cast<int64_t>(i));
    locals_[node.index + 2] = sum;
    if (!Eval(node.children[1], sum)) return false;
  }
  out = sum;
  return true;
}

bool Evaluator::EvalSum(NodeId id, const Operand& list, Operand& out) {
  const Node& node = tree_[id];
  const size_t count = Count(list);
  Operand sum = Operand::Int(0);
  for (size_t i = 0; i < count; ++i) {
    Operand item;
    if (!Charge(1, id) || !Item(list, i, node.children[0], item)) return false;
    if (node.children.size() > 1) {
      locals_[node.index] = item;
      locals_[node.index + 1] = Operand::Int(static_cast<int64_t>(i));
      if (!Eval(node.children[1], item)) return false;
    }
    if (!item.is_number()) return WrongType(node.children[0], "a list of numbers", item);
    if (!Arithmetic(Op::kAdd, sum, item, id, sum)) return false;
  }
  out = sum;
  return true;
}

}  // namespace bulkhead::expr

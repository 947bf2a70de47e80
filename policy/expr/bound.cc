#include "policy/expr/bound.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <vector>

#include "policy/expr/operand.h"

namespace bulkhead::expr {

namespace {

// --- saturating arithmetic --------------------------------------------------------------------------

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

uint64_t Add(uint64_t a, uint64_t b) {
  return a > kMost - b ? kMost : a + b;
}
template <typename... Rest>
uint64_t Add(uint64_t a, uint64_t b, uint64_t c, Rest... rest) {
  return Add(Add(a, b), c, rest...);
}
uint64_t Times(uint64_t a, uint64_t b) {
  return a != 0 && b > kMost / a ? kMost : a * b;
}
// TextUnits of a text, rounded up, so that a sum of parts is no less than the whole.
uint64_t Text(uint64_t bytes) {
  return bytes / 32 + 1;
}

// How large a value can be.
struct Extent {
  uint64_t count = 0;    // bytes, items or entries
  uint64_t inner = 0;    // the greatest count of anything within
  uint64_t weight = 1;   // units for comparing the whole with something
  bool of_type = false;  // all of it is as its static type says, so what is within can be told from the type
};

struct Cost {
  uint64_t units = 0;
  Extent extent;
};

Extent Within(const Extent& outer) {
  return {outer.inner, outer.inner, outer.weight, false};
}

Extent Larger(const Extent& a, const Extent& b) {
  return {std::max(a.count, b.count), std::max(a.inner, b.inner), std::max(a.weight, b.weight), false};
}

uint64_t MapWeight(uint64_t entries, uint64_t key_bytes, uint64_t values) {
  return Add(1, Times(2, entries), Times(Times(entries, entries), Text(key_bytes)), values);
}

class Bound {
 public:
  Bound(const Tree& tree, Dialect dialect, const Limits& limits)
      : tree_(tree), cel_(dialect == Dialect::kCel), limits_(limits), locals_(tree.slots), known_(tree.nodes.size()) {}

  // Each node is worked out once, as its parents ask more than once. Its slots are filled in by then.
  const Cost& Of(NodeId id) {
    if (!known_[id].has_value()) known_[id] = WorkOut(tree_[id]);
    return *known_[id];
  }

 private:
  Cost WorkOut(const Node& node) {
    switch (node.kind) {
      case NodeKind::kLiteral: return {1, {node.text.size(), 0, Text(node.text.size()), false}};
      case NodeKind::kVariable: return {1, OfType(node.type)};
      case NodeKind::kLocal: return {1, locals_[node.index]};
      case NodeKind::kMember:
      case NodeKind::kIndex: return Member(node);
      case NodeKind::kSlice: {
        Cost cost = Sum(node);
        const Extent target = Of(node.children[0]).extent;
        cost.units = Add(cost.units, target.count);
        cost.extent = target;
        cost.extent.of_type = false;
        return cost;
      }
      case NodeKind::kHas: return {Add(Sum(node).units, 1), {}};
      case NodeKind::kChain: return {Sum(node).units, Of(node.children[0]).extent};
      case NodeKind::kUnary: return Sum(node);
      case NodeKind::kBinary: return Binary(node);
      case NodeKind::kConditional: {
        const Cost condition = Of(node.children[0]);
        const Cost yes = Of(node.children[1]);
        const Cost no = Of(node.children[2]);
        return {Add(1, condition.units, std::max(yes.units, no.units)), Larger(yes.extent, no.extent)};
      }
      case NodeKind::kList: {
        Cost cost = Sum(node);
        cost.extent.count = node.children.size();
        cost.extent.weight = Add(cost.extent.weight, node.children.size());
        return cost;
      }
      case NodeKind::kMap: {
        Cost cost = Sum(node);
        const uint64_t entries = node.children.size() / 2;
        cost.units = Add(cost.units, Times(Times(entries, entries), Text(cost.extent.inner)));
        cost.extent.weight = MapWeight(entries, cost.extent.inner, cost.extent.weight);
        cost.extent.count = entries;
        return cost;
      }
      case NodeKind::kCall: return Call(node);
      case NodeKind::kLet: {
        const Cost value = Of(node.children[0]);
        locals_[node.index] = value.extent;
        const Cost body = Of(node.children[1]);
        return {Add(1, value.units, body.units), body.extent};
      }
    }
    return {kMost, {}};
  }

  // 1 and all children; the extent of something made of all of them.
  Cost Sum(const Node& node) {
    Cost cost = {1, {}};
    for (const NodeId child : node.children) {
      const Cost part = Of(child);
      cost.units = Add(cost.units, part.units);
      cost.extent.inner = std::max({cost.extent.inner, part.extent.count, part.extent.inner});
      cost.extent.weight = Add(cost.extent.weight, part.extent.weight);
    }
    return cost;
  }

  Extent OfType(const Type& type) const {
    const uint64_t bytes = type.most() != 0 ? type.most() : limits_.string_bytes;
    const uint64_t items = type.most() != 0 ? type.most() : limits_.items;
    switch (type.kind()) {
      case Kind::kAny: {
        // As much as this in all, however it is nested.
        const uint64_t all = std::max<uint64_t>(limits_.string_bytes, limits_.items);
        return {all, all, MapWeight(limits_.items, limits_.key_bytes, Text(limits_.string_bytes)), true};
      }
      case Kind::kString:
      case Kind::kBytes: return {bytes, 0, Text(bytes), true};
      case Kind::kList: {
        const Extent item = OfType(type.element());
        return {items, std::max(item.count, item.inner), Add(1, Times(items, Add(1, item.weight))), true};
      }
      case Kind::kMap: {
        const Extent key = KeyOf(type);
        const Extent value = OfType(type.element());
        return {items, std::max({key.count, value.count, value.inner}),
                MapWeight(items, key.count, Times(items, value.weight)), true};
      }
      case Kind::kObject: {
        // A document may hold members that the type does not list.
        Extent all = {std::max<uint64_t>(type.fields().size(), limits_.items), 0, 0, true};
        uint64_t values = 0;
        uint64_t names = 0;
        for (const Field& field : type.fields()) {
          const Extent value = OfType(field.type);
          all.inner = std::max({all.inner, value.count, value.inner, uint64_t{field.name.size()}});
          values = Add(values, value.weight);
          names = std::max<uint64_t>(names, field.name.size());
        }
        all.weight = Add(MapWeight(type.fields().size(), names, values), all.count);
        return all;
      }
      default: return {0, 0, 1, true};
    }
  }

  Extent KeyOf(const Type& map) const {
    Extent key = OfType(map.key());
    const bool text = map.key().Is(Kind::kString) || map.key().Is(Kind::kAny);
    if (text && map.key().most() == 0) key = {limits_.key_bytes, 0, Text(limits_.key_bytes), true};
    return key;
  }

  Extent ElementOf(const Extent& whole, const Type& element) const {
    return whole.of_type ? OfType(element) : Within(whole);
  }

  Extent KeysOf(const Extent& whole, const Type& map) const { return whole.of_type ? KeyOf(map) : Within(whole); }

  static bool Scalar(const Type& type) {
    switch (type.kind()) {
      case Kind::kNull:
      case Kind::kBool:
      case Kind::kInt:
      case Kind::kDouble:
      case Kind::kDuration: return true;
      default: return false;
    }
  }
  static bool Textual(const Type& type) { return type.Is(Kind::kString) || type.Is(Kind::kBytes); }

  static uint64_t Equal(const Type& left, const Extent& a, const Type& right, const Extent& b) {
    if (Scalar(left) || Scalar(right)) return 0;
    if (Textual(left) || Textual(right)) return Text(std::min(a.count, b.count));
    return Add(a.weight, b.weight);
  }

  Cost Member(const Node& node) {
    Cost cost = Sum(node);
    const Extent target = Of(node.children[0]).extent;
    const Type& type = tree_[node.children[0]].type;
    const bool keyed = !type.key_field().empty();
    if (!type.Is(Kind::kList)) cost.units = Add(cost.units, keyed ? target.count : target.count / 8 + 1);
    cost.extent = ElementOf(target, node.type);
    return cost;
  }

  Cost Binary(const Node& node) {
    Cost cost = Sum(node);
    if (node.op == Op::kAnd || node.op == Op::kOr) return {cost.units, {}};
    const Extent a = Of(node.children[0]).extent;
    const Extent b = Of(node.children[1]).extent;
    const Type& left = tree_[node.children[0]].type;
    const Type& right = tree_[node.children[1]].type;
    switch (node.op) {
      case Op::kEqual:
      case Op::kNotEqual: return {Add(cost.units, Equal(left, a, right, b)), {}};
      case Op::kIn: {
        const Extent element = right.Is(Kind::kMap) ? KeysOf(b, right) : ElementOf(b, right.element());
        const Type& type = right.Is(Kind::kMap) ? right.key() : right.Is(Kind::kList) ? right.element() : Type::Any();
        const uint64_t each = Add(1, Equal(left, a, type, element));
        return {Add(cost.units, Times(2, b.count), Times(b.count, each)), {}};
      }
      case Op::kCoalesce: return {cost.units, Larger(a, b)};
      case Op::kAdd: {
        if (Scalar(left) || Scalar(right)) return {cost.units, {}};
        const uint64_t most = Text(Add(a.count, b.count));
        const bool lists = cel_ && !Textual(left) && !Textual(right);
        cost.units = Add(cost.units, lists ? Add(a.count, b.count) : most);
        return {cost.units,
                {Capped(Add(a.count, b.count)), std::max(a.inner, b.inner), Add(a.weight, b.weight, 1), false}};
      }
      case Op::kRange: {
        const uint64_t most = limits_.memory_bytes / sizeof(Operand);
        return {Add(cost.units, most), {most, 0, Times(2, most), false}};
      }
      case Op::kMatches: return {Add(cost.units, a.count / 8, Text(Add(a.count, b.count))), {}};
      default:
        // Orders compare text, the others of expr-lang look through it.
        return {Scalar(left) || Scalar(right) ? cost.units : Add(cost.units, Text(Add(a.count, b.count))), {}};
    }
  }

  // What is built lies within the memory of the evaluation.
  uint64_t Capped(uint64_t bytes) const { return std::min<uint64_t>(bytes, limits_.memory_bytes); }
  Extent MadeText(uint64_t bytes) const { return {Capped(bytes), 0, Text(Capped(bytes)), false}; }

  Cost Call(const Node& node) {
    const FunctionSpec* const spec = FindFunction(cel_ ? Dialect::kCel : Dialect::kExpr, node.text, cel_);
    if (spec != nullptr && spec->predicate) return Predicate(node);
    std::vector<Extent> arguments;
    uint64_t units = 1;
    uint64_t counts = 0;
    for (const NodeId child : node.children) {
      const Cost part = Of(child);
      units = Add(units, part.units);
      counts = Add(counts, part.extent.count);
      arguments.push_back(part.extent);
    }
    Extent a = arguments[0];
    a.of_type = false;
    const uint64_t second = arguments.size() > 1 ? arguments[1].count : 0;
    const Type& type = tree_[node.children[0]].type;
    const uint64_t made = Text(limits_.memory_bytes);
    switch (node.function) {
      case Function::kFullMatches: return {Add(units, a.count / 8, Text(counts)), {}};
      case Function::kTrim: return {Add(units, Text(counts), Text(Times(Add(a.count, 2), second))), a};
      case Function::kLastIndexOf: return {Add(units, Text(counts), Text(Times(a.count, second))), {}};
      case Function::kRepeat: return {Add(units, Text(counts), made), MadeText(limits_.memory_bytes)};
      case Function::kReplace: {
        const uint64_t most = Times(Add(a.count, 1), Add(arguments[2].count, 1));
        return {Add(units, a.count, Text(counts), Text(Capped(most))), MadeText(most)};
      }
      case Function::kSplit:
        return {Add(units, a.count, Text(counts)), {Add(a.count, 1), a.count, Add(a.count, 2, Text(a.count)), false}};
      case Function::kJoin: {
        const uint64_t most = Times(a.count, Add(a.inner, second));
        return {Add(units, a.count, Text(Capped(most))), MadeText(most)};
      }
      case Function::kString:
        return {Add(units, Text(a.count), 2), {Add(a.count, 64), 0, Text(Add(a.count, 64)), false}};
      case Function::kToBase64:
      case Function::kFromBase64: {
        const uint64_t most = Add(Times(a.count, 2), 4);
        return {Add(units, Text(a.count), Text(Capped(most))), MadeText(most)};
      }
      case Function::kToJson: return {Add(units, Text(a.count), a.weight, made), MadeText(limits_.memory_bytes)};
      case Function::kFromJson: {
        const uint64_t entries = a.count / 2 + 1;
        return {Add(units, a.count / 4, Text(a.count)),
                {a.count, a.count, MapWeight(entries, a.count, a.count), false}};
      }
      case Function::kMin:
      case Function::kMax: return {Add(units, counts), {}};
      case Function::kSize:
        if (type.Is(Kind::kList)) return {units, {}};
        return {Add(units, Textual(type) ? Text(a.count) : a.count), {}};
      case Function::kGet: return {Add(units, a.count), Within(a)};
      case Function::kFirst:
      case Function::kLast: return {units, ElementOf(arguments[0], type.element())};
      case Function::kKeys:
      case Function::kValues: return {Add(units, a.count), a};
      case Function::kSort: {
        const uint64_t rounds = static_cast<uint64_t>(std::bit_width(a.count));
        return {Add(units, a.count, Times(rounds, Add(a.count, a.weight))), a};
      }
      case Function::kUniq:
        return {Add(units, a.count, Times(a.count, a.count), Times(a.count, Times(2, a.weight))), a};
      case Function::kTake:
      case Function::kReverse: return {Add(units, a.count), a};
      case Function::kConcat: {
        Extent all = {counts, 0, 1, false};
        for (const Extent& part : arguments) {
          all.inner = std::max(all.inner, part.inner);
          all.weight = Add(all.weight, part.weight);
        }
        return {Add(units, counts), all};
      }
      case Function::kHeaderGet:
      case Function::kHeaderValues: return {Add(units, Text(second), a.count), ElementOf(arguments[0], type.element())};
      default: return {Add(units, Text(counts)), a};  // looks through its text, gives no more than that
    }
  }

  Cost Predicate(const Node& node) {
    const Cost list = Of(node.children[0]);
    const Type& type = tree_[node.children[0]].type;
    const Extent element = type.Is(Kind::kMap) ? KeysOf(list.extent, type) : ElementOf(list.extent, type.element());
    uint64_t units = Add(1, list.units, type.Is(Kind::kList) ? 0 : list.extent.count);
    Cost predicate = {0, element};
    if (node.children.size() > 2) units = Add(units, Of(node.children[2]).units);
    if (node.children.size() > 1) {
      locals_[node.index] = element;
      if (!cel_) locals_[node.index + 1] = {};
      // What is gathered over all items can be anything that fits.
      const Extent anything = {limits_.memory_bytes, limits_.memory_bytes, kMost, false};
      if (!cel_) locals_[node.index + 2] = anything;
      predicate = Of(node.children[1]);
    }
    const uint64_t count = list.extent.count;
    units = Add(units, Times(count, Add(1, predicate.units)));
    Extent whole = list.extent;
    whole.of_type = false;
    switch (node.function) {
      case Function::kFilter: return {units, whole};
      case Function::kMap:
        return {units,
                {count, std::max(predicate.extent.count, predicate.extent.inner),
                 Add(1, Times(count, Add(1, predicate.extent.weight))), false}};
      case Function::kFind:
      case Function::kFindLast: return {units, element};
      case Function::kReduce: return {units, {limits_.memory_bytes, limits_.memory_bytes, kMost, false}};
      default: return {units, {}};
    }
  }

  const Tree& tree_;
  const bool cel_;
  const Limits& limits_;
  std::vector<Extent> locals_;
  std::vector<std::optional<Cost>> known_;
};

}  // namespace

uint64_t CostBound(const Tree& tree, Dialect dialect, const Limits& limits) {
  return Bound(tree, dialect, limits).Of(tree.root).units;
}

}  // namespace bulkhead::expr

// Reading documents.
#include <utility>

#include "policy/expr/evaluator.h"
#include "policy/expr/numbers.h"

namespace bulkhead::expr {

namespace {

const Type kUnknownType;

}  // namespace

bool Evaluator::EvalVariable(NodeId id, Operand& out) {
  const uint32_t index = tree_[id].index;
  if (index >= bindings_.size() || !bindings_[index].bound()) {
    return Fail(Fault::kAbsent, id, Quote(id) + " is not there");
  }
  return Load(bindings_[index], environment_.variables()[index].type, id, out);
}

bool Evaluator::EvalMember(NodeId id, Operand& out) {
  const Node& node = tree_[id];
  Operand target;
  if (!Eval(node.children[0], target)) return false;
  if (broken_) return true;
  if (target.is_nil() && node.optional) {
    broken_ = true;
    return true;
  }
  bool found = false;
  if (!LookupKey(target, id, out, found)) return false;
  if (found) return true;
  // Go's maps give their zero value for an unknown key, which expr-lang shows as nil.
  if (!cel() && target.Is(Kind::kMap)) {
    out = target.borrowed && target.type->element().Is(Kind::kList) ? Operand::NilList() : Operand();
    return true;
  }
  return Fail(Fault::kAbsent, id, Quote(id) + " is not there");
}

// The key is the member's name, or what the index evaluates to.
bool Evaluator::LookupKey(const Operand& target, NodeId place, Operand& out, bool& found) {
  const Node& node = tree_[place];
  if (node.kind == NodeKind::kMember) return Lookup(target, Operand::String(node.text), place, out, found);
  Operand key;
  return Eval(node.children[1], key) && Lookup(target, key, place, out, found);
}

bool Evaluator::Present(NodeId id, Operand& out, bool& present) {
  const Node& node = tree_[id];
  present = true;
  if (node.kind == NodeKind::kVariable) {
    present = node.index < bindings_.size() && bindings_[node.index].bound() &&
              bindings_[node.index].reader->KindOf(bindings_[node.index].node) != Value::Kind::kNull;
    return Charge(1, id) && (!present || Eval(id, out));
  }
  if (node.kind != NodeKind::kMember && node.kind != NodeKind::kIndex) return Eval(id, out);
  Operand target;
  if (!Charge(1, id) || !Present(node.children[0], target, present)) return false;
  if (!present) return true;
  if (target.Is(Kind::kNull)) {
    present = false;
    return true;
  }
  return LookupKey(target, id, out, present);
}

bool Evaluator::Lookup(const Operand& target, const Operand& key, NodeId place, Operand& out, bool& found) {
  found = false;
  const NodeId target_place = tree_[place].children[0];
  if (target.Is(Kind::kList)) {
    if (!key.Is(Kind::kInt)) return WrongType(place, "an element of a list, which has no names", key);
    const auto count = static_cast<int64_t>(Count(target));
    const int64_t index = key.integer < 0 && !cel() ? key.integer + count : key.integer;
    if (index < 0 || index >= count) return true;
    found = true;
    return Item(target, static_cast<size_t>(index), place, out);
  }
  if (!target.is_map()) return WrongType(target_place, "a map or a list", target);
  if (!target.borrowed) {
    if (!Charge(FindUnits(target.count), place)) return false;
    for (size_t i = 0; i < target.count && !found; ++i) {
      const Operand& candidate = target.entries[i].key;
      if (candidate.kind != key.kind) continue;
      found = candidate.Is(Kind::kString) ? candidate.text == key.text
              : candidate.Is(Kind::kBool) ? candidate.boolean == key.boolean
                                          : candidate.integer == key.integer;
      if (found) out = target.entries[i].value;
    }
    return true;
  }
  if (!key.Is(Kind::kString)) return true;
  const Reader& reader = *target.ref.reader;
  const Type& type = *target.type;
  const size_t size = reader.Size(target.ref.node);
  if (!type.key_field().empty()) {
    if (!Charge(size, place)) return false;
    for (size_t i = 0; i < size; ++i) {
      const void* const item = reader.Item(target.ref.node, i);
      const void* const name =
          reader.KindOf(item) == Value::Kind::kObject ? reader.Find(item, type.key_field()) : nullptr;
      if (name == nullptr || reader.KindOf(name) != Value::Kind::kString || reader.Text(name) != key.text) continue;
      found = true;
      return Load({&reader, item}, type.element(), place, out);
    }
    return true;
  }
  if (!Charge(FindUnits(size), place)) return false;
  const Field* const field = type.Find(key.text);
  if (target.Is(Kind::kObject) && field == nullptr) return true;
  const void* const node = reader.Find(target.ref.node, key.text);
  if (node == nullptr) return true;
  // An optional field of an object that is null is as good as absent; in a map, null is a value.
  if (field != nullptr && field->optional && reader.KindOf(node) == Value::Kind::kNull) return true;
  found = true;
  return Load({&reader, node}, field != nullptr ? field->type : type.element(), place, out);
}

bool Evaluator::Load(Ref ref, const Type& type, NodeId place, Operand& out) {
  const Value::Kind found = ref.reader->KindOf(ref.node);
  const bool any = type.Is(Kind::kAny);
  out = {};
  switch (found) {
    case Value::Kind::kNull:
      if (any || type.Is(Kind::kNull)) return true;
      break;
    case Value::Kind::kBool:
      if (!any && !type.Is(Kind::kBool)) break;
      out = Operand::Bool(ref.reader->Bool(ref.node));
      return true;
    case Value::Kind::kNumber: {
      const std::string_view lexeme = ref.reader->Text(ref.node);
      if (!any && !type.Is(Kind::kInt) && !type.Is(Kind::kDouble)) break;
      // Go decodes JSON numbers of an unknown type as float64, and so expr-lang sees them.
      const auto integer = (any && !cel()) || type.Is(Kind::kDouble) ? std::nullopt : ParseInt(lexeme);
      if (integer.has_value()) {
        out = Operand::Int(*integer);
        return true;
      }
      const auto number = ParseDouble(lexeme);
      if (!number.has_value()) return Fail(Fault::kConversion, place, Quote(place) + " is a number beyond all bounds");
      out = Operand::Double(*number);
      if (!type.Is(Kind::kInt)) return true;
      const auto whole = Truncate(*number);
      if (!whole.has_value() || static_cast<double>(*whole) != *number) {
        return Fail(Fault::kType, place, Quote(place) + " must be an int, but is a number with a fraction");
      }
      out = Operand::Int(*whole);
      return true;
    }
    case Value::Kind::kString:
      if (!any && !type.Is(Kind::kString) && !type.Is(Kind::kBytes)) break;
      out = Operand::String(ref.reader->Text(ref.node));
      if (type.Is(Kind::kBytes)) out.kind = Kind::kBytes;
      return true;
    case Value::Kind::kArray:
    case Value::Kind::kObject: {
      const bool list = found == Value::Kind::kArray;
      const bool keyed = !type.key_field().empty();
      const bool fits =
          any || (list ? type.Is(Kind::kList) || keyed : (type.Is(Kind::kMap) && !keyed) || type.Is(Kind::kObject));
      if (!fits) break;
      out.kind = any ? (list ? Kind::kList : Kind::kMap) : type.kind();
      out.borrowed = true;
      out.ref = ref;
      out.type = any ? &kUnknownType : &type;
      return true;
    }
  }
  return Fail(Fault::kType, place,
              Quote(place) + " must be of type " + type.ToString() + ", but is a " + std::string(KindName(found)));
}

size_t Evaluator::Count(const Operand& collection) const {
  return collection.borrowed ? collection.ref.reader->Size(collection.ref.node) : collection.count;
}

bool Evaluator::Item(const Operand& list, size_t index, NodeId place, Operand& out) {
  if (!list.borrowed) {
    out = list.items[index];
    return true;
  }
  return Load({list.ref.reader, list.ref.reader->Item(list.ref.node, index)}, list.type->element(), place, out);
}

bool Evaluator::Entries(const Operand& map, NodeId place, Operand& out) {
  const size_t size = Count(map);
  if (!Charge(size, place)) return false;
  if (!map.borrowed) {
    out = map;
    return true;
  }
  const Reader& reader = *map.ref.reader;
  const Type& type = *map.type;
  Entry* entries = nullptr;
  if (!Make(size, place, entries)) return false;
  size_t count = 0;
  for (size_t i = 0; i < size; ++i) {
    const bool keyed = !type.key_field().empty();
    const void* node = keyed ? reader.Item(map.ref.node, i) : reader.Member(map.ref.node, i);
    std::string_view key;
    const Type* element = &type.element();
    if (keyed) {
      const void* const name =
          reader.KindOf(node) == Value::Kind::kObject ? reader.Find(node, type.key_field()) : nullptr;
      if (name == nullptr || reader.KindOf(name) != Value::Kind::kString) continue;
      key = reader.Text(name);
    } else {
      key = reader.Key(map.ref.node, i);
    }
    if (type.Is(Kind::kObject)) {
      const Field* const field = type.Find(key);
      if (field == nullptr || (field->optional && reader.KindOf(node) == Value::Kind::kNull)) continue;
      element = &field->type;
    }
    entries[count].key = Operand::String(key);
    if (!Load({&reader, node}, *element, place, entries[count].value)) return false;
    ++count;
  }
  out = Operand::Map(entries, count);
  return true;
}

}  // namespace bulkhead::expr

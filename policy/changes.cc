#include "policy/changes.h"

#include <algorithm>

#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

// Entries of what was sent up to which a search in their order is the quickest.
constexpr size_t kSearchDirectly = 8;

const Value* Present(const Value* value) {
  return value == nullptr || value->is_null() ? nullptr : value;
}

const Value* FindPresent(const Value* object, std::string_view key) {
  return object == nullptr ? nullptr : Present(object->Find(key));
}

bool Same(const Value& before, const JsonNode& after) {
  if (before.kind != after.kind) return false;
  switch (before.kind) {
    case Value::Kind::kNull: return true;
    case Value::Kind::kBool: return before.boolean == after.boolean;
    case Value::Kind::kNumber:
    case Value::Kind::kString: return before.text == after.text;
    case Value::Kind::kArray: {
      if (before.items.size() != after.size) return false;
      size_t i = 0;
      for (const JsonNode& item : Children(after)) {
        if (!Same(before.items[i++], item)) return false;
      }
      return true;
    }
    case Value::Kind::kObject: {
      if (before.members.size() != after.size) return false;
      size_t i = 0;
      for (const JsonNode& child : Children(after)) {
        const Member& here = before.members[i++];
        const Value* const old_value = here.key == child.key ? &here.value : before.Find(child.key);
        if (old_value == nullptr || !Same(*old_value, child)) return false;
      }
      return true;
    }
  }
  return false;
}

// Argo's AnyString may have been sent as a number or a boolean; it is its text.
bool SameLeaf(const FieldSpec& field, const Value& before, const JsonNode& after) {
  if (field.type == FieldType::kAnyString) {
    const std::string_view text =
        before.is_bool() ? (before.boolean ? "true" : "false") : std::string_view(before.text);
    return text == after.text;
  }
  return Same(before, after);
}

// Whether anything would be left of a struct: `{}` and `{"a": null}` say nothing.
bool SaysNothing(const JsonNode& value) {
  if (!value.is_object()) return value.is_null();
  for (const JsonNode& child : Children(value)) {
    const auto* const field = static_cast<const FieldSpec*>(child.mark);
    const bool struct_inside = field != nullptr && field->type == FieldType::kStruct;
    if (struct_inside ? !SaysNothing(child) : !child.is_null()) return false;
  }
  return true;
}

}  // namespace

void AppendPath(const Change& change, std::string& out) {
  LeafSpec place;
  if (change.empty_struct != nullptr) {
    place.path = change.empty_struct->path;
  } else {
    place = Leaves()[change.field->leaf];
  }
  AppendPath(place, change.Keys(), out);
}

Scalar ScalarOf(const Value* value) {
  if (value == nullptr) return {};
  return {value->kind, value->boolean, value->text};
}

Scalar ScalarOf(const JsonNode* node) {
  if (node == nullptr) return {};
  return {node->kind, node->boolean, node->text};
}

std::string_view EntryName(const JsonNode& entry) {
  const JsonNode* const name = FindMember(entry, "name");
  return name != nullptr && name->is_string() ? name->text : std::string_view();
}

std::string_view EntryName(const Value& entry) {
  const Value* const name = entry.Find("name");
  return name != nullptr && name->is_string() ? std::string_view(name->text) : std::string_view();
}

void Differ::Run(const StructSpec& spec, const Value* before, const JsonNode& after) {
  changes_.clear();
  entries_.clear();
  fault_count_ = 0;
  key_count_ = 0;
  if (after.is_object()) Struct(spec, {Present(before), &after, false});
}

void Differ::Struct(const StructSpec& spec, const Slot& slot) {
  for (const JsonNode& child : Children(*slot.after)) {
    const auto& field = *static_cast<const FieldSpec*>(child.mark);
    const Value* const before = FindPresent(slot.before, field.name);
    if (!child.is_null()) {
      Field(field, before, child, slot.replaced);
    } else if (before != nullptr && !slot.replaced) {
      RemoveAll(field, *before);
    }
  }
  if (!slot.replaced || slot.before == nullptr) return;
  for (const Member& member : slot.before->members) {
    const FieldSpec* const field = spec.Find(member.key);
    if (field == nullptr || member.value.is_null()) continue;
    const JsonNode* const after = FindMember(*slot.after, member.key);
    if (after == nullptr || after->is_null()) RemoveAll(*field, member.value);
  }
}

void Differ::Field(const FieldSpec& field, const Value* before, const JsonNode& after, bool replaced) {
  switch (field.type) {
    case FieldType::kStruct: {
      // What is dropped silently would be no transaction: an empty struct of a protected set is a change too.
      if (before == nullptr && field.set != ProtectedSet::kNone && SaysNothing(after)) {
        Add(Op::kAdd, field, nullptr, &after);
        changes_.back().empty_struct = field.child;
        return;
      }
      return Struct(*field.child, {before, &after, replaced});
    }
    case FieldType::kKeyedList: return KeyedList(field, before, after);
    case FieldType::kStringMap: return StringMap(field, before, after, replaced);
    default: return Leaf(field, before, after);
  }
}

void Differ::Leaf(const FieldSpec& field, const Value* before, const JsonNode& after) {
  if (before == nullptr) {
    Add(Op::kAdd, field, nullptr, &after);
  } else if (!SameLeaf(field, *before, after)) {
    Add(Op::kChange, field, before, &after);
  }
}

void Differ::KeyedList(const FieldSpec& field, const Value* before, const JsonNode& after) {
  if (!CheckNames(field, after)) return;
  const size_t begin = SortEntries(before, /*list=*/true);
  for (const JsonNode& item : Children(after)) {
    const std::string_view name = EntryName(item);
    if (!PushKey(name)) continue;
    Struct(*field.child, {FindEntry(begin, name), &item, /*replaced=*/true});
    PopKey();
  }
  // The names of the reply are sorted by CheckNames; what was sent and is not among them is gone. A nested list
  // may have used that memory meanwhile, so they are sorted again when there is something to look for.
  if (begin < entries_.size()) {
    CheckNames(field, after);
    const size_t end = entries_.size();
    for (size_t i = begin; i < end; ++i) {
      const OldEntry entry = entries_[i];
      const auto found = std::lower_bound(names_.begin(), names_.end(), entry.key,
                                          [](const NewEntry& one, std::string_view key) { return one.key < key; });
      if ((found != names_.end() && found->key == entry.key) || !PushKey(entry.key)) continue;
      for (const Member& member : entry.value->members) {
        const FieldSpec* const inner = field.child->Find(member.key);
        if (inner != nullptr && !member.value.is_null()) RemoveAll(*inner, member.value);
      }
      PopKey();
    }
  }
  entries_.resize(begin);
}

void Differ::StringMap(const FieldSpec& field, const Value* before, const JsonNode& after, bool replaced) {
  const size_t begin = SortEntries(before, /*list=*/false);
  for (const JsonNode& child : Children(after)) {
    const Value* const old_value = FindEntry(begin, child.key);
    if (!PushKey(child.key)) continue;
    if (!child.is_null()) {
      Leaf(field, old_value, child);
    } else if (old_value != nullptr) {
      Add(Op::kRemove, field, old_value, nullptr);
    }
    PopKey();
  }
  if (replaced && before != nullptr) {
    for (const Member& member : before->members) {
      if (member.value.is_null() || FindMember(after, member.key) != nullptr || !PushKey(member.key)) continue;
      Add(Op::kRemove, field, &member.value, nullptr);
      PopKey();
    }
  }
  entries_.resize(begin);
}

void Differ::RemoveAll(const FieldSpec& field, const Value& before) {
  switch (field.type) {
    case FieldType::kStruct:
      for (const Member& member : before.members) {
        const FieldSpec* const inner = field.child->Find(member.key);
        if (inner != nullptr && !member.value.is_null()) RemoveAll(*inner, member.value);
      }
      return;
    case FieldType::kKeyedList:
      for (const Value& item : before.items) {
        if (!PushKey(EntryName(item))) continue;
        for (const Member& member : item.members) {
          const FieldSpec* const inner = field.child->Find(member.key);
          if (inner != nullptr && !member.value.is_null()) RemoveAll(*inner, member.value);
        }
        PopKey();
      }
      return;
    case FieldType::kStringMap:
      for (const Member& member : before.members) {
        if (member.value.is_null() || !PushKey(member.key)) continue;
        Add(Op::kRemove, field, &member.value, nullptr);
        PopKey();
      }
      return;
    default: Add(Op::kRemove, field, &before, nullptr);
  }
}

void Differ::Add(Op op, const FieldSpec& field, const Value* before, const JsonNode* after) {
  Change& change = changes_.emplace_back();
  change.op = op;
  change.field = &field;
  change.keys = keys_;
  change.key_count = key_count_;
  change.before = before;
  change.after = after;
  change.set = SetOf(field, key_count_ == 0 ? std::string_view() : keys_[key_count_ - 1U]);
}

// Argo reads lists with two entries of a name differently in different places, and one without a name is nobody's.
bool Differ::CheckNames(const FieldSpec& field, const JsonNode& list) {
  names_.clear();
  uint32_t order = 0;
  for (const JsonNode& item : Children(list)) {
    const std::string_view name = EntryName(item);
    if (name.empty()) {
      ListProblem(field, *field.child, {}, "an entry has no name");
      return false;
    }
    names_.push_back({name, order++});
  }
  std::sort(names_.begin(), names_.end(),
            [](const NewEntry& a, const NewEntry& b) { return a.key != b.key ? a.key < b.key : a.order < b.order; });
  const auto twice = std::adjacent_find(names_.begin(), names_.end(),
                                        [](const NewEntry& a, const NewEntry& b) { return a.key == b.key; });
  if (twice == names_.end()) return true;
  ListProblem(field, *field.child, twice->key, "two entries have this name");
  return false;
}

void Differ::ListProblem(const FieldSpec& /*field*/, const StructSpec& spec, std::string_view key,
                         std::string_view reason) {
  if (fault_count_ == faults_.size()) faults_.emplace_back();
  ListFault& fault = faults_[fault_count_++];
  fault.reason = reason;
  fault.path.clear();
  LeafSpec place;
  place.path = spec.path;
  if (key.empty()) place.path.remove_suffix(2);
  std::array<std::string_view, kMostKeys + 1> keys = {};
  std::copy_n(keys_.begin(), key_count_, keys.begin());
  keys[key_count_] = key;
  AppendPath(place, {keys.data(), key_count_ + (key.empty() ? 0U : 1U)}, fault.path);
}

size_t Differ::SortEntries(const Value* before, bool list) {
  const size_t begin = entries_.size();
  if (before == nullptr) return begin;
  for (const Value& item : before->items) {
    if (list) entries_.push_back({EntryName(item), &item});
  }
  for (const Member& member : before->members) {
    if (!list && !member.value.is_null()) entries_.push_back({member.key, &member.value});
  }
  if (entries_.size() - begin > kSearchDirectly) {
    std::sort(entries_.begin() + static_cast<std::ptrdiff_t>(begin), entries_.end(),
              [](const OldEntry& a, const OldEntry& b) { return a.key < b.key; });
  }
  return begin;
}

const Value* Differ::FindEntry(size_t begin, std::string_view key) const {
  const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(begin);
  if (entries_.size() - begin <= kSearchDirectly) {
    const auto found = std::find_if(first, entries_.end(), [&](const OldEntry& entry) { return entry.key == key; });
    return found == entries_.end() ? nullptr : found->value;
  }
  const auto found = std::lower_bound(
      first, entries_.end(), key, [](const OldEntry& entry, std::string_view wanted) { return entry.key < wanted; });
  return found != entries_.end() && found->key == key ? found->value : nullptr;
}

bool Differ::PushKey(std::string_view key) {
  if (key_count_ == kMostKeys) return false;
  keys_[key_count_++] = key;
  return true;
}

// --- presence -------------------------------------------------------------------------------------

namespace {

bool PresentIn(const PathPattern& pattern, size_t key, std::string_view rest, const StructSpec& spec, const Slot& slot);

bool PresentUnder(const PathPattern& pattern, size_t key, std::string_view rest, const FieldSpec& field,
                  const Slot& slot) {
  const bool in_reply = slot.after != nullptr;
  if (field.type == FieldType::kStruct) {
    if (rest.starts_with('.')) rest.remove_prefix(1);
    return PresentIn(pattern, key, rest, *field.child, slot);
  }
  if (!rest.starts_with("[]")) return true;  // a leaf without keys
  rest.remove_prefix(2);
  const PathPattern::Key& wanted = pattern.keys()[key];
  const auto fits = [&](std::string_view name) { return wanted.any || wanted.text == name; };
  if (field.type == FieldType::kStringMap) {
    if (in_reply) {
      for (const JsonNode& child : Children(*slot.after)) {
        if (fits(child.key) && !child.is_null()) return true;
      }
    }
    if (slot.before == nullptr || slot.replaced) return false;
    return std::any_of(slot.before->members.begin(), slot.before->members.end(), [&](const Member& member) {
      if (!fits(member.key) || member.value.is_null()) return false;
      return !in_reply || FindMember(*slot.after, member.key) == nullptr;
    });
  }
  if (rest.starts_with('.')) rest.remove_prefix(1);
  if (in_reply) {
    for (const JsonNode& item : Children(*slot.after)) {
      if (fits(EntryName(item)) && PresentIn(pattern, key + 1, rest, *field.child, {nullptr, &item, true})) return true;
    }
    return false;
  }
  if (slot.before == nullptr) return false;
  return std::any_of(slot.before->items.begin(), slot.before->items.end(), [&](const Value& item) {
    return fits(EntryName(item)) && PresentIn(pattern, key + 1, rest, *field.child, {&item, nullptr, false});
  });
}

bool PresentIn(const PathPattern& pattern, size_t key, std::string_view rest, const StructSpec& spec,
               const Slot& slot) {
  const std::string_view name = rest.substr(0, rest.find_first_of(".["));
  const FieldSpec* const field = spec.Find(name);
  if (field == nullptr) return false;
  rest.remove_prefix(name.size());
  Slot inner;
  inner.replaced = slot.replaced;
  inner.after = slot.after == nullptr ? nullptr : FindMember(*slot.after, name);
  if (inner.after != nullptr && inner.after->is_null()) return false;
  if (!slot.replaced) inner.before = FindPresent(slot.before, name);
  if (inner.after == nullptr && inner.before == nullptr) return false;
  return PresentUnder(pattern, key, rest, *field, inner);
}

}  // namespace

bool IsPresent(const PathPattern& pattern, const StructSpec& spec, const Value* before, const JsonNode& after) {
  return PresentIn(pattern, 0, pattern.leaf().path, spec,
                   {Present(before), after.is_object() ? &after : nullptr, false});
}

}  // namespace bulkhead::policy

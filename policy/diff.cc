#include <algorithm>
#include <set>

#include "policy/path.h"
#include "policy/policy.h"
#include "runner/base/argo_schema.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

bool SameLeaf(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  if (a.is_string() || a.is_number()) return a.text == b.text;
  if (a.is_bool()) return a.boolean == b.boolean;
  return ToJson(a) == ToJson(b);
}

// Walks both states beside Argo's types; either side may be missing.
class Differ {
 public:
  Status Struct(const Value* before, const Value* after, const StructSpec& spec, const std::string& path,
                std::string_view guard) {
    BULKHEAD_TRY(KnownFields(after, spec, path));
    for (const FieldSpec& field : spec.fields) {
      const Value* const old_value = before == nullptr ? nullptr : before->Find(field.name);
      const Value* const new_value = after == nullptr ? nullptr : after->Find(field.name);
      if (old_value == nullptr && new_value == nullptr) continue;
      const std::string inner = path.empty() ? std::string(field.name) : path + "." + std::string(field.name);
      BULKHEAD_TRY(Field(old_value, new_value, field, inner, guard.empty() ? field.guard : guard));
    }
    return OkStatus();
  }

  std::vector<Mutation> Take() { return std::move(mutations_); }

 private:
  Status Field(const Value* before, const Value* after, const FieldSpec& field, const std::string& path,
               std::string_view guard) {
    switch (field.type) {
      case FieldType::kStruct: {
        const size_t count = mutations_.size();
        BULKHEAD_TRY(Struct(before, after, *field.child, path, guard));
        // An empty struct is a change too: `s3: {}` is not nothing to Argo.
        const bool empty_struct = after != nullptr && after->members.empty() && before == nullptr;
        if (empty_struct && mutations_.size() == count && !guard.empty()) Leaf(before, after, path, guard);
        return OkStatus();
      }
      case FieldType::kKeyedList: return KeyedList(before, after, *field.child, path, guard);
      default: Leaf(before, after, path, guard); return OkStatus();
    }
  }

  void Leaf(const Value* before, const Value* after, const std::string& path, std::string_view guard) {
    if (before != nullptr && after != nullptr && SameLeaf(*before, *after)) return;
    const Op op = before == nullptr ? Op::kAdd : after == nullptr ? Op::kRemove : Op::kChange;
    mutations_.push_back({op, path, before, after, guard});
  }

  Status KeyedList(const Value* before, const Value* after, const StructSpec& spec, const std::string& path,
                   std::string_view guard) {
    std::vector<std::pair<std::string, const Value*>> old_items;
    std::vector<std::pair<std::string, const Value*>> new_items;
    BULKHEAD_TRY(Keys(before, path, old_items));
    BULKHEAD_TRY(Keys(after, path, new_items));
    const auto find = [](const auto& items, const std::string& name) -> const Value* {
      const auto found = std::lower_bound(items.begin(), items.end(), name,
                                          [](const auto& item, const std::string& key) { return item.first < key; });
      return found != items.end() && found->first == name ? found->second : nullptr;
    };
    for (const auto& [name, item] : new_items) {
      BULKHEAD_TRY(Struct(find(old_items, name), item, spec, path + KeyStep(name), guard));
    }
    for (const auto& [name, item] : old_items) {
      if (find(new_items, name) != nullptr) continue;
      BULKHEAD_TRY(Struct(item, nullptr, spec, path + KeyStep(name), guard));
    }
    return OkStatus();
  }

  // The items by name, sorted. Argo reads lists with two entries of a name differently in different places.
  static Status Keys(const Value* list, const std::string& path,
                     std::vector<std::pair<std::string, const Value*>>& items) {
    if (list == nullptr) return OkStatus();
    for (const Value& item : list->items) {
      const Value* const name = item.Find("name");
      if (name == nullptr || !name->is_string() || name->text.empty()) {
        return Error(Code::kInvalidInput, path + ": an entry without a name [argo.list-keys]");
      }
      items.emplace_back(name->text, &item);
    }
    std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto twice =
        std::adjacent_find(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.first == b.first; });
    if (twice == items.end()) return OkStatus();
    return Error(Code::kInvalidInput, path + ": two entries are named \"" +
                                          EscapeForTerminal(twice->first.substr(0, 64)) + "\" [argo.list-keys]");
  }

  // A field that is not walked would pass unseen.
  static Status KnownFields(const Value* value, const StructSpec& spec, const std::string& path) {
    if (value == nullptr) return OkStatus();
    if (!value->is_object())
      return Error(Code::kInvalidInput, (path.empty() ? "the reply" : path) + " is not a mapping");
    for (const Member& member : value->members) {
      if (spec.Find(member.key) == nullptr) {
        return Error(Code::kInvalidInput, (path.empty() ? "the reply" : path) + " has a field that Argo does not know");
      }
    }
    return OkStatus();
  }

  std::vector<Mutation> mutations_;
};

void Measure(const Value& value, size_t depth, ReplyFacts& facts) {
  if (!value.is_array() && !value.is_object()) return;
  facts.depth = std::max(facts.depth, depth);
  facts.items = std::max(facts.items, value.items.size());
  for (const Value& item : value.items) Measure(item, depth + 1, facts);
  for (const Member& member : value.members) Measure(member.value, depth + 1, facts);
}

}  // namespace

std::string_view OpName(Op op) {
  switch (op) {
    case Op::kAdd: return "add";
    case Op::kChange: return "change";
    case Op::kRemove: return "remove";
  }
  return "";
}

Result<std::vector<Mutation>> Diff(const Value& before, const Value& after) {
  Differ differ;
  BULKHEAD_TRY(differ.Struct(&before, &after, ExecuteReplySpec(), "", ""));
  return differ.Take();
}

ReplyFacts MeasureReply(const Value& document, size_t bytes, const Value& effective) {
  ReplyFacts facts;
  facts.bytes = bytes;
  Measure(document, 1, facts);
  facts.effective = &effective;
  return facts;
}

}  // namespace bulkhead::policy

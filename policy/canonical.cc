// Writes the next state, and the changes alone, from the validated pair of what was sent and what the reply says.
#include <algorithm>

#include "policy/changes.h"

namespace bulkhead::policy {

namespace {

const Value* FindNotNull(const Value* object, std::string_view key) {
  const Value* const found = object == nullptr ? nullptr : object->Find(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

// Begins a member; `End` takes it back when nothing was written for it.
class MemberWriter {
 public:
  MemberWriter(std::string& out, std::string_view key, bool first) : out_(out), start_(out.size()) {
    if (!first) out += ',';
    AppendJsonString(key, out);
    out += ':';
    begin_ = out.size();
  }
  bool End(bool keep) {
    if (!keep) out_.resize(start_);
    return keep;
  }
  size_t begin() const { return begin_; }

 private:
  std::string& out_;
  size_t start_;
  size_t begin_ = 0;
};

class EffectiveWriter {
 public:
  explicit EffectiveWriter(std::string& out) : out_(out) {}

  // False: it is empty.
  bool Struct(const StructSpec& spec, const Slot& slot) {
    bool first = true;
    out_ += '{';
    for (const FieldSpec& field : spec.fields) {
      Slot inner;
      inner.replaced = slot.replaced;
      inner.after = slot.after == nullptr ? nullptr : FindMember(*slot.after, field.name);
      if (inner.after != nullptr && inner.after->is_null()) continue;
      if (!slot.replaced) inner.before = FindNotNull(slot.before, field.name);
      if (inner.after == nullptr && inner.before == nullptr) continue;
      MemberWriter member(out_, field.name, first);
      if (member.End(Field(field, inner))) first = false;
    }
    out_ += '}';
    return !first;
  }

  // False: it is empty.
  bool Field(const FieldSpec& field, const Slot& slot) {
    switch (field.type) {
      case FieldType::kStruct: return Struct(*field.child, slot);
      case FieldType::kKeyedList: return List(*field.child, slot);
      case FieldType::kStringMap: return Map(slot);
      default:
        if (slot.after != nullptr) {
          AppendJson(*slot.after, out_);
        } else if (field.type == FieldType::kAnyString && !slot.before->is_string()) {
          AppendJsonString(
              slot.before->is_bool() ? (slot.before->boolean ? "true" : "false") : std::string_view(slot.before->text),
              out_);
        } else {
          AppendJson(*slot.before, out_);
        }
        return true;
    }
  }

 private:
  bool List(const StructSpec& spec, const Slot& slot) {
    bool first = true;
    out_ += '[';
    const auto entry = [&](const Slot& inner) {
      if (!first) out_ += ',';
      first = false;
      Struct(spec, inner);
    };
    if (slot.after != nullptr) {
      for (const JsonNode& item : Children(*slot.after)) entry({nullptr, &item, true});
    } else {
      for (const Value& item : slot.before->items) entry({&item, nullptr, false});
    }
    out_ += ']';
    return !first;
  }

  bool Map(const Slot& slot) {
    bool first = true;
    out_ += '{';
    const auto begin = [&](std::string_view key) {
      if (!first) out_ += ',';
      first = false;
      AppendJsonString(key, out_);
      out_ += ':';
    };
    if (slot.before != nullptr && !slot.replaced) Kept(slot, begin);
    if (slot.after != nullptr) {
      for (const JsonNode& child : Children(*slot.after)) {
        if (child.is_null()) continue;
        begin(child.key);
        AppendJson(child, out_);
      }
    }
    out_ += '}';
    return !first;
  }

  // What was sent and the reply does not speak of. With many keys on both sides, by a sorted list of the reply's.
  template <typename Begin>
  void Kept(const Slot& slot, const Begin& begin) {
    std::vector<std::string_view> spoken;
    const bool many = slot.after != nullptr && slot.after->size > 8;
    if (many) {
      for (const JsonNode& child : Children(*slot.after)) spoken.push_back(child.key);
      std::sort(spoken.begin(), spoken.end());
    }
    for (const Member& member : slot.before->members) {
      const std::string_view key = member.key;
      const bool gone = many ? std::binary_search(spoken.begin(), spoken.end(), key)
                             : slot.after != nullptr && FindMember(*slot.after, key) != nullptr;
      if (gone || member.value.is_null()) continue;
      begin(key);
      AppendJson(member.value, out_);
    }
  }

  std::string& out_;
};

class PatchWriter {
 public:
  explicit PatchWriter(std::string& out) : out_(out) {}

  bool Struct(const StructSpec& spec, const Value* before, const JsonNode& after) {
    bool first = true;
    out_ += '{';
    for (const FieldSpec& field : spec.fields) {
      const JsonNode* const inner = FindMember(after, field.name);
      if (inner == nullptr) continue;
      MemberWriter member(out_, field.name, first);
      if (member.End(Field(field, FindNotNull(before, field.name), *inner))) first = false;
    }
    out_ += '}';
    return !first;
  }

 private:
  // False: no change.
  bool Field(const FieldSpec& field, const Value* before, const JsonNode& after) {
    if (after.is_null()) {
      out_ += "null";
      return before != nullptr;
    }
    if (field.type == FieldType::kStruct) return Struct(*field.child, before, after);
    if (field.type == FieldType::kStringMap) return Map(before, after);
    if (before != nullptr) {
      std::string old_text;
      std::string new_text;
      EffectiveWriter(old_text).Field(field, {before, nullptr, false});
      EffectiveWriter(new_text).Field(field, {nullptr, &after, true});
      if (old_text == new_text) return false;
    }
    const size_t begin = out_.size();
    if (EffectiveWriter(out_).Field(field, {nullptr, &after, true})) return true;
    // An empty list replaces what was there.
    out_.resize(begin);
    out_ += "[]";
    return before != nullptr;
  }

  bool Map(const Value* before, const JsonNode& after) {
    bool first = true;
    out_ += '{';
    for (const JsonNode& child : Children(after)) {
      const Value* const old_value = FindNotNull(before, child.key);
      if (child.is_null() ? old_value == nullptr : old_value != nullptr && old_value->text == child.text) continue;
      if (!first) out_ += ',';
      first = false;
      AppendJsonString(child.key, out_);
      out_ += ':';
      AppendJson(child, out_);
    }
    out_ += '}';
    return !first;
  }

  std::string& out_;
};

}  // namespace

void AppendEffective(const StructSpec& spec, const Value* before, const JsonNode& after, std::string& out) {
  const Value* const old_state = before == nullptr || before->is_null() ? nullptr : before;
  EffectiveWriter(out).Struct(spec, {old_state, after.is_object() ? &after : nullptr, false});
}

void AppendMergePatch(const StructSpec& spec, const Value* before, const JsonNode& after, std::string& out) {
  if (!after.is_object()) {
    out += "{}";
    return;
  }
  PatchWriter(out).Struct(spec, before, after);
}

}  // namespace bulkhead::policy

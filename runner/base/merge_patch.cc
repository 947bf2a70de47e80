#include "runner/base/merge_patch.h"

#include <algorithm>

namespace bulkhead {

void ApplyMergePatch(Value& target, const Value& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = Value::Object();
  for (const Member& member : patch.members) {
    if (member.value.is_null()) {
      std::erase_if(target.members, [&](const Member& existing) { return existing.key == member.key; });
      continue;
    }
    Value* current = target.Find(member.key);
    if (current == nullptr) {
      // Not a plain copy: a mapping of a patch may hold nulls.
      target.members.push_back({member.key, {}, Value::Null()});
      current = &target.members.back().value;
    }
    ApplyMergePatch(*current, member.value);
  }
}

void ComposeMergePatch(Value& first, const Value& second) {
  if (!first.is_object() || !second.is_object()) {
    first = second;
    return;
  }
  for (const Member& member : second.members) {
    if (Value* const current = first.Find(member.key); current != nullptr) {
      ComposeMergePatch(*current, member.value);
    } else {
      first.members.push_back(member);
    }
  }
}

}  // namespace bulkhead

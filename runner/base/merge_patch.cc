#include "runner/base/merge_patch.h"

#include <algorithm>
#include <utility>

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

Value MakeMergePatch(const Value& before, const Value& after) {
  Value patch = Value::Object();
  for (const Member& member : before.members) {
    if (after.Find(member.key) == nullptr) patch.Set(member.key, Value::Null());
  }
  for (const Member& member : after.members) {
    const Value* const old = before.Find(member.key);
    if (old != nullptr && old->is_object() && member.value.is_object()) {
      Value inner = MakeMergePatch(*old, member.value);
      if (!inner.members.empty()) patch.Set(member.key, std::move(inner));
    } else if (old == nullptr || ToJson(*old) != ToJson(member.value)) {
      patch.Set(member.key, member.value);
    }
  }
  return patch;
}

}  // namespace bulkhead

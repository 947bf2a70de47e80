// JSON merge patches (RFC 7386): a mapping changes member by member, null removes, all else replaces.
#pragma once

#include "runner/base/value.h"

namespace bulkhead {

// `target` as `patch` leaves it.
void ApplyMergePatch(Value& target, const Value& patch);

// The patch that makes `after` of `before`, both objects; lists that differ in anything are in it as a whole. A
// null that `after` has in place of something else cannot be said in a patch: it removes.
Value MakeMergePatch(const Value& before, const Value& after);

}  // namespace bulkhead

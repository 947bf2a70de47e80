// JSON merge patches (RFC 7386): a mapping changes member by member, null removes, all else replaces.
#pragma once

#include "runner/base/value.h"

namespace bulkhead {

// `target` as `patch` leaves it.
void ApplyMergePatch(Value& target, const Value& patch);

// Makes of `first` the patch that does what `first` and then `second` do.
void ComposeMergePatch(Value& first, const Value& second);

}  // namespace bulkhead

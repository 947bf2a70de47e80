// What tables.py generates besides the functions of schema.h. Internal to policy/schema.
#pragma once

#include "policy/schema/schema.h"

namespace bulkhead::policy {

// Of each leaf, in the order of Leaves(): a bit for each Rpc that has it.
std::span<const uint8_t> RpcsOfLeaves();

}  // namespace bulkhead::policy

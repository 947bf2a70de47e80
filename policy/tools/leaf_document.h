// From a leaf of the schema to a document that has it, and to its path in words.
#pragma once

#include <string>
#include <vector>

#include "policy/path.h"
#include "policy/schema/schema.h"
#include "runner/base/value.h"

namespace bulkhead::policy::tools {

// "node.outputs.parameters[ts].value": `keys`, one for each [] of the leaf.
std::string PathOf(const LeafSpec& leaf, const std::vector<std::string>& keys);

// A reply that holds this leaf, with this value, and the names that its lists need; nothing else.
Value DocumentWith(const LeafSpec& leaf, const std::vector<std::string>& keys, Value value);

// A value that the leaf's type can have.
Value Plausible(const LeafSpec& leaf);

}  // namespace bulkhead::policy::tools

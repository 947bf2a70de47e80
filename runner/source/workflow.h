// One document of the input: a WorkflowTaskSet or a Workflow, read into the tasks it stands for.
#pragma once

#include "runner/base/fields.h"
#include "runner/base/value.h"
#include "runner/source/local.h"

namespace bulkhead::source {

// What is wrong goes to `diagnostics`; the set is then not to be used. Task ids are not set.
LocalSet ReadSet(const Value& document, Diagnostics& diagnostics);

}  // namespace bulkhead::source

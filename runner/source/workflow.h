// One document of the input: a WorkflowTaskSet or a Workflow, read into the tasks it stands for.
#pragma once

#include "runner/base/fields.h"
#include "runner/base/value.h"
#include "runner/source/local.h"

namespace bulkhead::source {

// What is wrong goes to `diagnostics`; the set is then not to be used. Task ids are not set.
LocalSet ReadSet(const Value& document, Diagnostics& diagnostics);

// One task of a WorkflowTaskSet. Its id is not set; what is wrong goes to `diagnostics`.
agent::Task ReadTask(const agent::WorkflowRef& workflow, std::string node, const Value& task_template,
                     Diagnostics& diagnostics);

// The uid of the Workflow that owns a task set with this metadata; empty when none does.
std::string OwnerUidOf(const Value& metadata);

}  // namespace bulkhead::source

// How a task's report ends: with what the policy admitted, or with why there is no result of a plugin.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "runner/agent/task.h"

namespace bulkhead::agent {

// Without a result of a plugin. Argo's agent says Failed when a plugin could not do its work; Error is for
// what we refused. `message` is redacted.
void EndWith(std::string_view phase, Layer layer, std::string message, TaskReport& report);

// With a reply that the policy admitted. `effective`: the NodeResult that the node now has.
void EndWithEffective(const Value& effective, std::optional<std::chrono::nanoseconds> requeue, TaskReport& report);

}  // namespace bulkhead::agent

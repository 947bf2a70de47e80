// From reply bytes to what may be applied: decode, diff, policy, redaction, in this order. Pure: no I/O,
// no clock. This is the only place where plugin bytes become workflow state.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"
#include "runner/agent/task.h"
#include "runner/base/value.h"
#include "runner/redact/redactor.h"

namespace bulkhead::agent {

struct Judgement {
  enum class Kind { kNotMine, kApplied, kRefused };
  Kind kind = Kind::kRefused;

  // kApplied: the effective NodeResult, i.e. `before` with the reply merged in, redacted.
  Value effective;
  std::optional<std::chrono::nanoseconds> requeue;

  // kRefused: by which layer, and one sentence naming every violation (redacted).
  Layer layer = Layer::kNone;
  std::string message;

  std::vector<policy::Verdict> verdicts;  // redacted
  size_t allowed = 0;
  size_t refused = 0;
  size_t masked = 0;
};

// `before` is the NodeResult that earlier replies of the same task had accumulated (an object, empty
// at first): Argo merge-patches results, so a field of an early reply survives a later one that omits
// it, and the policy has to see what will be there, not only what was sent last.
Judgement Judge(std::string_view reply, const Value& before, const policy::Subject& subject,
                const policy::PolicySet& policies, const redact::Redactor& redactor);

}  // namespace bulkhead::agent

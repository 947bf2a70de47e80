// From reply bytes to what may be applied: the policy's decision, then redaction. Pure: no I/O, no clock. This is the
// only place where plugin bytes become workflow state.
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

  // kApplied: what was sent with the reply merged in, redacted. For template.execute the NodeResult; for the hooks an
  // object in the form of a reply.
  Value effective;
  // kApplied, of a hook: the changes alone as a JSON merge patch in the form of a reply, redacted.
  Value patch;
  std::optional<std::chrono::nanoseconds> requeue;

  // kRefused: by which layer, one sentence naming every violation (redacted), and what the policies ask for then.
  Layer layer = Layer::kNone;
  std::string message;
  policy::OnDeny on_deny = policy::OnDeny::kFailNode;

  std::vector<policy::Verdict> verdicts;  // redacted; an allowed one is a leaf that changed
  size_t allowed = 0;
  size_t refused = 0;
  size_t masked = 0;
};

// `call.sent` is the state that earlier replies of the same task had accumulated, in the form of a reply: Argo
// merge-patches results, so a field of an early reply survives a later one that omits it, and the policy has to see
// what will be there, not only what was sent last.
Judgement Judge(std::string_view reply, const policy::Call& call, const policy::PolicySet& policies,
                const redact::Redactor& redactor);

// {"node": node}, which is what policy paths speak of; an empty object when the node is one.
Value AsSent(const Value& node);

}  // namespace bulkhead::agent

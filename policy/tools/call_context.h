// A call of a plugin as the tools know it: who was asked what, and the state on which a reply is judged.
#pragma once

#include <string>
#include <string_view>

#include "policy/policy.h"
#include "runner/base/fields.h"
#include "runner/base/value.h"

namespace bulkhead::policy::tools {

// Plain data. `workflow` is {name, namespace, uid, labels, annotations}; `tmpl` the template that was sent; `sent` the
// state before the reply in the form of a reply ({"node": {...}}).
struct CallContext {
  std::string plugin;
  std::string digest;  // "sha256:..."; empty: not known
  std::string rpc = "template.execute";
  Value workflow = Value::Object();
  Value tmpl = Value::Object();
  Value sent = Value::Object();
  int64_t now = 0;  // seconds since 1970, for expiries; 0: whatever the tool was given

  std::string_view WorkflowText(std::string_view key) const;
  std::string_view TemplateName() const;
  // Borrows this object and `state`.
  Call AsCall(const Value& state, int64_t default_now, uint32_t requeues) const;
};

// Reads a mapping {plugin, digest, rpc, workflow, template, node, sent, now (a day)} over `call`: keys that are not
// given keep what they were, mappings are merged. Unknown keys are errors.
void ReadCallContext(const Value& value, CallContext& call, Diagnostics& diagnostics);

// Members of `patch` over those of `target`, mapping by mapping; null removes.
void MergeInto(Value& target, const Value& patch);

}  // namespace bulkhead::policy::tools

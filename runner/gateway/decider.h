// Decider: may this plugin's reply be applied, and what is it then. The gateway's one way to the policy.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "policy/holder.h"
#include "policy/policy.h"
#include "runner/agent/judge.h"
#include "runner/base/value.h"
#include "runner/gateway/rpc_call.h"
#include "runner/redact/redactor.h"

namespace bulkhead::gateway {

// What a reply is judged against.
struct Question {
  const RpcCall* call = nullptr;
  std::string_view plugin;
  std::string_view plugin_digest;
  // The state that the reply would change, in the form of a reply: {"node": {...}}, {"workflow": {...}},
  // {"parameters": {...}}; null: nothing.
  const Value* sent = nullptr;
  uint32_t requeues = 0;
};

// Thread-safe.
class Decider {
 public:
  virtual ~Decider() = default;
  virtual agent::Judgement Decide(const Question& question, std::string_view reply) = 0;
};

// By the policies in force. Borrows both.
class PolicyDecider : public Decider {
 public:
  PolicyDecider(const policy::Holder& policies, std::shared_ptr<const redact::Redactor> redactor)
      : policies_(policies), redactor_(std::move(redactor)) {}
  agent::Judgement Decide(const Question& question, std::string_view reply) override;

 private:
  const policy::Holder& policies_;
  const std::shared_ptr<const redact::Redactor> redactor_;
};

}  // namespace bulkhead::gateway

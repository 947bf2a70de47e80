// One reply judged for a tool: the decision as a value of its own, which outlives the evaluator's next call.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"
#include "policy/tools/call_context.h"

namespace bulkhead::policy::tools {

struct TrialVerdict {
  Op op = Op::kAdd;
  bool allowed = false;
  bool advice = false;
  std::string path;
  RuleRef by;
  std::string reason;
};

struct TrialOutcome {
  std::string verdict;  // "allow", "deny", "error" (refused by decoding), "not-mine"
  std::vector<TrialVerdict> verdicts;
  Value effective = Value::Object();  // when allowed
  OnDeny on_deny = OnDeny::kFailNode;

  bool allowed() const { return verdict == "allow"; }
};

// Not thread-safe; trials are independent of each other.
class Trial {
 public:
  // `now`: seconds since 1970, where a context has none.
  explicit Trial(int64_t now) : now_(now) {}

  TrialOutcome Judge(const PolicySet& policies, const CallContext& context, const Value& state, std::string_view reply,
                     uint32_t requeues = 0);
  // On the state that was sent.
  TrialOutcome Judge(const PolicySet& policies, const CallContext& context, std::string_view reply) {
    return Judge(policies, context, context.sent, reply);
  }

 private:
  const int64_t now_;
  Evaluator evaluator_;
};

// The same policies, all in mode enforce: what the rules say, whatever a mode makes of it.
std::vector<Policy> Enforced(const std::vector<Policy>& policies);

}  // namespace bulkhead::policy::tools

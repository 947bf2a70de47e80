// How long a decision takes: the same reply judged many times by one evaluator.
#pragma once

#include <chrono>
#include <string_view>

#include "policy/policy.h"
#include "policy/tools/call_context.h"

namespace bulkhead::policy::tools {

struct BenchReport {
  size_t decisions = 0;
  bool allowed = false;
  size_t reply_bytes = 0;
  std::chrono::nanoseconds p50{0}, p90{0}, p99{0}, most{0};
};

// Bytes in, decision and canonical bytes out; the first tenth is warm-up and is not counted.
BenchReport BenchDecision(const PolicySet& policies, const CallContext& context, std::string_view reply,
                          size_t decisions, int64_t now);

}  // namespace bulkhead::policy::tools

#include "policy/tools/decision_bench.h"

#include <algorithm>
#include <vector>

namespace bulkhead::policy::tools {

BenchReport BenchDecision(const PolicySet& policies, const CallContext& context, std::string_view reply,
                          size_t decisions, int64_t now) {
  using Clock = std::chrono::steady_clock;
  const Call call = context.AsCall(context.sent, now, 0);
  Evaluator evaluator;
  BenchReport report;
  report.reply_bytes = reply.size();
  decisions = std::max<size_t>(decisions, 1);
  for (size_t i = 0; i < decisions / 10 + 1; ++i)
    report.allowed = evaluator.Decide(policies, call, reply).kind == Decision::Kind::kAllowed;
  std::vector<std::chrono::nanoseconds> times(decisions);
  for (auto& time : times) {
    const auto begin = Clock::now();
    static_cast<void>(evaluator.Decide(policies, call, reply));
    time = Clock::now() - begin;
  }
  std::sort(times.begin(), times.end());
  report.decisions = decisions;
  report.p50 = times[decisions / 2];
  report.p90 = times[decisions * 90 / 100];
  report.p99 = times[decisions * 99 / 100];
  report.most = times.back();
  return report;
}

}  // namespace bulkhead::policy::tools

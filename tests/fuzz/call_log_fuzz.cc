// Audit logs as `policy learn` and `policy replay` read them: whatever a log says, a proposal loads, is in mode audit,
// and shows no control characters.
#include "fuzz.h"
#include "policy/tools/learn.h"
#include "policy/tools/replay.h"
#include "runner/base/text.h"

using namespace bulkhead;
using namespace bulkhead::policy::tools;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  LearnOptions options;
  options.expires = "2099-12-31";
  options.include_refused = size % 2 == 0;
  Learner learner(options);
  const policy::PolicySet none;
  Replay replay(none);
  CallLogStats stats;
  for (const std::string& line : Split(fuzz::Text(data, size), '\n')) {
    bool readable = false;
    const auto call = ReadCallRecord(line, readable);
    if (!call.has_value()) continue;
    ++stats.calls;
    stats.first_time = stats.last_time = call->time;
    learner.Add(*call);
    replay.Add(*call);
  }
  static_cast<void>(replay.Take(stats));
  const std::string proposal = learner.Propose(stats);
  if (proposal.empty()) return 0;
  Diagnostics diagnostics("proposal");
  const auto policies = policy::ReadPolicies(proposal, diagnostics);
  fuzz::Require(!diagnostics.HasErrors(), "a proposal loads");
  for (const policy::Policy& policy : policies)
    fuzz::Require(policy.mode == policy::Mode::kAudit && policy.unprotect.empty(), "a proposal is in mode audit");
  for (const std::string& line : Split(proposal, '\n'))
    fuzz::Require(EscapeForTerminal(line) == line, "a proposal shows no control characters");
  return 0;
}

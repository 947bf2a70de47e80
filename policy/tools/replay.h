// What other policies would have said to the calls of an audit log. A log holds no values of replies but those that a
// rule logs (`log: value`) and the phase; where a rule's answer hangs on a value that is not there, the answer is
// "depends", never a guess. Nor does it hold what limits, `require` and checks look at, but for the reply's size and
// the leaves that changed: a call whose answer hangs on more is counted and named as not replayed in full.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "policy/policy.h"
#include "policy/tools/call_log.h"

namespace bulkhead::policy::tools {

// More than that many workflows of one difference are not told apart.
constexpr size_t kMostWorkflows = 100;

struct ReplayChange {
  enum class Kind { kNewlyDenied, kNewlyAllowed, kDepends };
  Kind kind = Kind::kDepends;
  std::string plugin;
  std::string path;
  Op op = Op::kAdd;
  std::string by_then;  // "policy/rule" of the record
  std::string by_now;   // of the policies at hand; "default-deny", or the rule whose value decides
  std::string place_now;
  uint64_t changes = 0;
  uint64_t workflows = 0;  // at most kMostWorkflows
  std::string first_time, last_time;
};

// A call that the log does not tell enough of to say whether its reply would be applied.
struct UndecidedCall {
  std::string time, name_space, workflow, plugin;
  std::vector<std::string> missing;  // "check key-own-workflow of ray-job", "the value of node.message (rule m)"
};

// More than that many are counted, not listed.
constexpr size_t kMostUndecided = 10'000;

struct ReplayReport {
  CallLogStats stats;
  uint64_t decisions = 0;       // calls that changed something, or were refused
  uint64_t decided = 0;         // of these, replayed in full
  uint64_t without_whole = 0;   // without limits, require or checks
  uint64_t without_values = 0;  // without values, digests or labels that rules and matches ask for
  std::vector<UndecidedCall> undecided;
  uint64_t changes = 0;  // verdicts replayed
  uint64_t same = 0;
  uint64_t wholes = 0;                // refusals and advice of whole replies: see `undecided`
  uint64_t guards = 0;                // refused by what no policy decides (decode.*, argo.*): still refused
  uint64_t beyond = 0;                // differences that found no room in `list`
  std::vector<ReplayChange> list;     // newly denied first, then by count
  std::vector<RuleRef> never_needed;  // allow rules that no change of the log needed (W082)
};

// Not thread-safe.
class Replay {
 public:
  explicit Replay(const PolicySet& policies);
  void Add(const LoggedCall& call);
  ReplayReport Take(const CallLogStats& stats);

 private:
  struct Seen {
    ReplayChange change;
    std::set<std::string> workflows;
  };
  struct Answer {
    enum class Kind { kAllowed, kDenied, kDepends };
    Kind kind = Kind::kDenied;
    std::string by, place;
  };

  // What is known of one call as a whole.
  struct Whole {
    bool denied = false;
    std::vector<std::string> of_reply;  // limits, require, checks that can't be told
    std::vector<std::string> of_values;
  };

  Answer Ask(const LoggedCall& call, const LoggedChange& change);
  void AddChange(const LoggedCall& call, const LoggedChange& change, Whole& whole);
  void AskWhole(const LoggedCall& call, Whole& whole) const;
  Answer AskOne(const Policy& policy, const LoggedChange& change);

  const PolicySet& policies_;
  ReplayReport report_;
  std::map<std::string, Seen> seen_;
  std::set<std::pair<std::string, std::string>> needed_;  // policy, rule
};

std::string_view KindName(ReplayChange::Kind kind);

}  // namespace bulkhead::policy::tools

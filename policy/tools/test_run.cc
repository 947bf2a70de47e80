#include "policy/tools/test_run.h"

#include <algorithm>
#include <set>

#include "policy/tools/corpus.h"
#include "policy/tools/mutants.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

// Compares states: order of keys and of keyed lists is no difference.
bool SameState(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  if (a.is_object()) {
    return a.members.size() == b.members.size() &&
           std::all_of(a.members.begin(), a.members.end(), [&](const Member& member) {
             const Value* const other = b.Find(member.key);
             return other != nullptr && SameState(member.value, *other);
           });
  }
  if (a.is_array()) {
    if (a.items.size() != b.items.size()) return false;
    return std::all_of(a.items.begin(), a.items.end(), [&](const Value& item) {
      return std::any_of(b.items.begin(), b.items.end(), [&](const Value& other) { return SameState(item, other); });
    });
  }
  return a.text == b.text && a.boolean == b.boolean;
}

std::string Show(const ExpectedViolation& violation) {
  return (violation.path.empty() ? "the reply as a whole" : EscapeForTerminal(violation.path)) + " by " +
         EscapeForTerminal(violation.by);
}

struct Ran {
  TrialOutcome outcome;
  size_t step = 1;
};

// The replies one after the other, until one is refused.
Ran RunCase(const TestCase& test, const PolicySet& policies, Trial& trial) {
  Ran ran;
  Value state = test.context.sent;
  for (size_t i = 0; i < test.replies.size(); ++i) {
    ran.outcome = trial.Judge(policies, test.context, state, test.replies[i].bytes, static_cast<uint32_t>(i));
    ran.step = i + 1;
    if (ran.outcome.allowed()) {
      state = ran.outcome.effective;
      // What the reply asked for holds once.
      std::erase_if(state.members, [](const Member& member) { return member.key == "requeue"; });
    } else if (ran.outcome.verdict != "not-mine") {
      break;
    }
  }
  return ran;
}

bool Passes(const TestCase& test, const PolicySet& policies, Trial& trial) {
  const Ran ran = RunCase(test, policies, trial);
  return Compare(test.expect, ran.outcome, ran.step, test.replies.size()).empty();
}

class Runner {
 public:
  Runner(const TestFile& tests, const PolicySet& policies, int64_t now)
      : tests_(tests), policies_(Enforced(policies.policies())), trial_(now) {
    result_.file = tests.file;
    result_.bars = tests.bars;
  }

  SuiteResult Run() {
    const auto set = PolicySet::FromPolicies(policies_);
    if (!set.ok()) return std::move(result_);
    for (const TestCase& test : tests_.cases) {
      Ran ran = RunCase(test, *set, trial_);
      CaseResult& result = result_.cases.emplace_back();
      result.name = test.name;
      result.at = test.at;
      result.failures = Compare(test.expect, ran.outcome, ran.step, test.replies.size());
      result.verdicts = std::move(ran.outcome.verdicts);
    }
    Cover();
    if (result_.failed() == 0) Kill();
    Corpus(*set);
    return std::move(result_);
  }

 private:
  // Each policy alone: of several that allow a leaf, a verdict names one.
  void Cover() {
    for (const Policy& policy : policies_) {
      const auto alone = PolicySet::FromPolicies({policy});
      if (!alone.ok()) continue;
      std::set<std::string> hit;
      for (const TestCase& test : tests_.cases) {
        for (const TrialVerdict& verdict : RunAll(test, *alone)) {
          if (verdict.allowed || IsRefuser(policy, verdict.by.rule)) hit.insert(verdict.by.rule);
        }
      }
      const auto note = [&](const std::string& id, Position at) {
        ++result_.rules;
        if (!hit.contains(id)) result_.unexercised.push_back({policy.name, id, policy.PlaceOf(at)});
      };
      for (const Rule& rule : policy.allow) note(rule.id, rule.at);
      for (const Rule& rule : policy.deny) note(rule.id, rule.at);
      for (const Rule& rule : policy.require) note(rule.id, rule.at);
      for (const Check& check : policy.checks) note(check.id, check.at);
    }
  }

  // An allow rule is exercised when it allows; the others when they refuse.
  static bool IsRefuser(const Policy& policy, const std::string& id) {
    return std::none_of(policy.allow.begin(), policy.allow.end(), [&](const Rule& rule) { return rule.id == id; });
  }

  std::vector<TrialVerdict> RunAll(const TestCase& test, const PolicySet& policies) {
    std::vector<TrialVerdict> all;
    Value state = test.context.sent;
    for (size_t i = 0; i < test.replies.size(); ++i) {
      TrialOutcome outcome =
          trial_.Judge(policies, test.context, state, test.replies[i].bytes, static_cast<uint32_t>(i));
      all.insert(all.end(), outcome.verdicts.begin(), outcome.verdicts.end());
      if (!outcome.allowed()) break;
      state = std::move(outcome.effective);
      std::erase_if(state.members, [](const Member& member) { return member.key == "requeue"; });
    }
    return all;
  }

  void Kill() {
    result_.kill_tried = true;
    for (size_t i = 0; i < policies_.size(); ++i) {
      for (Mutant& mutant : MakeMutants(policies_[i])) {
        std::vector<Policy> changed = policies_;
        changed[i] = std::move(mutant.policy);
        const auto set = PolicySet::FromPolicies(std::move(changed));
        if (!set.ok()) continue;
        ++result_.mutants;
        const bool lives = std::all_of(tests_.cases.begin(), tests_.cases.end(),
                                       [&](const TestCase& test) { return Passes(test, *set, trial_); });
        if (!lives) continue;
        result_.survivors.push_back({{policies_[i].name, mutant.rule, policies_[i].PlaceOf(mutant.at)},
                                     std::move(mutant.change),
                                     std::move(mutant.advice)});
      }
    }
  }

  // Asked as the policies' own matches ask, so that no reply is refused only for want of a policy.
  void Corpus(const PolicySet& set) {
    for (const CallContext& target : CorpusTargets(policies_)) {
      for (const HostileReply& hostile : HostileCorpus(target, policies_)) {
        ++result_.corpus;
        const TrialOutcome outcome = trial_.Judge(set, hostile.context, hostile.bytes);
        if (outcome.verdict == "allow") result_.corpus_passed.push_back(target.rpc + ": " + hostile.name);
      }
    }
  }

  const TestFile& tests_;
  const std::vector<Policy> policies_;
  Trial trial_;
  SuiteResult result_;
};

int Percent(size_t part, size_t whole) {
  return whole == 0 ? 100 : static_cast<int>(part * 100 / whole);
}

}  // namespace

size_t SuiteResult::failed() const {
  return static_cast<size_t>(
      std::count_if(cases.begin(), cases.end(), [](const CaseResult& one) { return !one.failures.empty(); }));
}

int SuiteResult::coverage() const {
  return Percent(rules - unexercised.size(), rules);
}

int SuiteResult::kill() const {
  return Percent(mutants - survivors.size(), mutants);
}

bool SuiteResult::below_bar() const {
  return coverage() < bars.rule_coverage || (kill_tried && kill() < bars.rule_kill);
}

std::vector<std::string> Compare(const Expectation& expect, const TrialOutcome& outcome, size_t step, size_t steps) {
  std::vector<std::string> failures;
  const std::string which = steps > 1 ? " (reply " + std::to_string(step) + " of " + std::to_string(steps) + ")" : "";
  std::vector<ExpectedViolation> found;
  std::set<std::string> rules;
  for (const TrialVerdict& verdict : outcome.verdicts) {
    if (!verdict.by.policy.empty() && verdict.by.rule != "default-deny") rules.insert(verdict.by.rule);
    if (!verdict.allowed) found.push_back({verdict.path, verdict.by.rule});
  }
  if (outcome.verdict != expect.verdict)
    failures.push_back("verdict is " + outcome.verdict + which + ", expected " + expect.verdict);
  const bool told_by_verdict = outcome.verdict != expect.verdict && !expect.violations.has_value();
  if (expect.violations.has_value() || told_by_verdict) {
    std::vector<ExpectedViolation> expected = expect.violations.value_or(std::vector<ExpectedViolation>());
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    std::vector<ExpectedViolation> missing;
    std::vector<ExpectedViolation> extra;
    std::set_difference(expected.begin(), expected.end(), found.begin(), found.end(), std::back_inserter(missing));
    std::set_difference(found.begin(), found.end(), expected.begin(), expected.end(), std::back_inserter(extra));
    for (const ExpectedViolation& violation : missing) failures.push_back("missing: " + Show(violation));
    for (const ExpectedViolation& violation : extra) {
      const auto verdict = std::find_if(outcome.verdicts.begin(), outcome.verdicts.end(), [&](const TrialVerdict& one) {
        return !one.allowed && one.path == violation.path && one.by.rule == violation.by;
      });
      failures.push_back("unexpected: " + Show(violation) +
                         (verdict == outcome.verdicts.end() ? "" : ": " + EscapeForTerminal(verdict->reason)));
    }
  }
  if (expect.rules.has_value()) {
    const std::set<std::string> expected(expect.rules->begin(), expect.rules->end());
    for (const std::string& rule : expected) {
      if (!rules.contains(rule)) failures.push_back("rule " + EscapeForTerminal(rule) + " did not match");
    }
    for (const std::string& rule : rules) {
      if (!expected.contains(rule)) failures.push_back("rule " + EscapeForTerminal(rule) + " matched, unexpectedly");
    }
  }
  if (expect.effective.has_value() && outcome.allowed() && !SameState(*expect.effective, outcome.effective)) {
    failures.push_back("the state after it is " + EscapeForTerminal(ToJson(outcome.effective)) + ", expected " +
                       EscapeForTerminal(ToJson(*expect.effective)));
  }
  return failures;
}

SuiteResult RunTests(const TestFile& tests, const PolicySet& policies, int64_t now) {
  return Runner(tests, policies, now).Run();
}

}  // namespace bulkhead::policy::tools

// Runs a test file: its cases, then how far they go (coverage, rule-kill), then the hostile corpus.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "policy/tools/test_file.h"
#include "policy/tools/trial.h"

namespace bulkhead::policy::tools {

struct CaseResult {
  std::string name;
  Position at;
  std::vector<std::string> failures;   // sentences; empty: passed
  std::vector<TrialVerdict> verdicts;  // of the reply that decided
};

struct RuleResult {
  std::string policy;
  std::string rule;
  std::string place;  // "file:line"
};

struct Survivor {
  RuleResult rule;
  std::string change;  // "without its pattern"
  std::string advice;  // the case to write
};

struct SuiteResult {
  std::string file;
  std::vector<CaseResult> cases;
  size_t rules = 0;
  std::vector<RuleResult> unexercised;
  // Rule-kill is not tried when a case fails.
  bool kill_tried = false;
  size_t mutants = 0;
  std::vector<Survivor> survivors;
  size_t corpus = 0;                       // hostile replies tried
  std::vector<std::string> corpus_passed;  // names of those that were not refused
  TestBars bars;

  size_t failed() const;
  int coverage() const;  // percent, rounded down; 100 when there are no rules
  int kill() const;
  bool below_bar() const;
};

// All policies are judged as in mode enforce. `now`: seconds since 1970, where a context has none.
SuiteResult RunTests(const TestFile& tests, const PolicySet& policies, int64_t now);

// Why `outcome` is not what was expected; empty when it is. `step`: which reply decided, counted from 1, of `steps`.
std::vector<std::string> Compare(const Expectation& expect, const TrialOutcome& outcome, size_t step, size_t steps);

}  // namespace bulkhead::policy::tools

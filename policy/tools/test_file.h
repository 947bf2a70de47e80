// Test files of policies (kind: MutationPolicyTest): calls with their replies, and what the policies must say.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "policy/tools/call_context.h"
#include "runner/base/fields.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::policy::tools {

// A reply as the plugin's bytes.
struct TestReply {
  std::string bytes;
  Position at;
};

struct ExpectedViolation {
  std::string path;  // empty: a refusal of the reply as a whole
  std::string by;    // a rule's id, a protected set, a guard, or "decode.<fault>"

  friend bool operator==(const ExpectedViolation&, const ExpectedViolation&) = default;
  friend bool operator<(const ExpectedViolation& a, const ExpectedViolation& b) {
    return std::tie(a.path, a.by) < std::tie(b.path, b.by);
  }
};

// What is not given is not compared; what is given is compared exactly.
struct Expectation {
  std::string verdict;  // allow, deny, error, not-mine
  std::optional<std::vector<ExpectedViolation>> violations;
  std::optional<std::vector<std::string>> rules;  // ids of the rules that allowed or refused
  std::optional<Value> effective;                 // the state after the last reply, in the form of a reply
  Position at;
};

struct TestCase {
  std::string name;
  Position at;
  CallContext context;
  std::vector<TestReply> replies;  // at least one; each is judged on the state that the one before left
  Expectation expect;
};

// What the suite as a whole must reach; percentages.
struct TestBars {
  int rule_coverage = 0;
  int rule_kill = 0;
  bool hostile_corpus = true;
  int least_cases = 1;
};

struct TestFile {
  std::string file;
  std::vector<std::string> policies;  // paths, relative to the current folder
  std::vector<TestCase> cases;
  TestBars bars;
};

// `text` is YAML; every unknown field, an empty list of cases and two cases of one name are errors, all reported in
// one pass into `diagnostics`.
std::optional<TestFile> ReadTestFile(std::string_view text, const std::string& file, Diagnostics& diagnostics);

// True for a document of kind MutationPolicyTest.
bool IsTestDocument(const Value& document);

}  // namespace bulkhead::policy::tools

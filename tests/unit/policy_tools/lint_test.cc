#include "policy/tools/lint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "policy/tools/lint_ids.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {
namespace {

constexpr int64_t kNow = 1'800'000'000;  // 2027-01-15

// A policy with nothing wrong. Cases replace one line, or add some at the end.
constexpr std::string_view kGood =
    "apiVersion: bulkhead.dev/v1alpha1\n"
    "kind: MutationPolicy\n"
    "metadata: {name: base, owner: me@example.com}\n"
    "spec:\n"
    "  match:\n"
    "    plugin: {name: slack, digest: \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}\n"
    "    rpc: [template.execute]\n"
    "    namespaces: [ci]\n"
    "    templates: [\"*\"]\n"
    "  allow:\n"
    "    - {id: phase, path: node.phase, value: {enum: [Succeeded, Failed]}}\n";

std::string With(size_t line, std::string_view text) {
  std::vector<std::string> lines = Split(kGood, '\n');
  lines[line - 1] = std::string(text);
  return Join(lines, "\n");
}

// Adds to the end.
std::string Plus(std::string_view text) {
  return std::string(kGood) + std::string(text) + "\n";
}

// Any label of a workflow, of which some are the controller's.
std::string Wildcard() {
  std::vector<std::string> lines = Split(With(7, "    rpc: [workflow.preOperate]"), '\n');
  lines[10] = "    - {id: labels, path: \"workflow.metadata.labels[*]\", value: {const: x}}";
  return Join(lines, "\n");
}

// All that is told of a text: "LINE:COLUMN ID message", the most severe first by place.
std::vector<std::string> Told(const std::string& text) {
  Diagnostics diagnostics("p.yaml");
  const std::vector<Policy> policies = ReadPolicies(text, diagnostics);
  std::vector<Diagnostic> all = diagnostics.list();
  if (!diagnostics.HasErrors()) {
    const std::vector<Diagnostic> lints = Lint(policies, kNow);
    all.insert(all.end(), lints.begin(), lints.end());
  }
  std::vector<std::string> lines;
  for (const Diagnostic& one : all) {
    std::string message = one.message;
    if (!one.hint.empty() && message.find("did you mean") == std::string::npos)
      message += " (did you mean \"" + one.hint + "\"?)";
    lines.push_back(std::to_string(one.at.line) + ":" + std::to_string(one.at.column) + " " + one.id + " " + message);
  }
  return lines;
}

struct Case {
  const char* told;
  std::string text;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
#include "tests/unit/policy_tools/lint_cases.inc"
  };
  return cases;
}

TEST(Lint, AGoodPolicyIsNotTold) {
  EXPECT_EQ(Told(std::string(kGood)), std::vector<std::string>());
}

TEST(Lint, EachIdIsToldWithItsPlaceAndWords) {
  for (const Case& c : Cases()) EXPECT_EQ(Join(Told(c.text), "\n"), c.told);
}

// But for ids that a policy file alone can't have: of test files and logs, and those that stand in for others.
TEST(Lint, EveryIdThatAPolicyCanHaveHasACase) {
  const std::set<std::string_view> elsewhere = {"W022", "W070", "W071", "W072", "W073", "W074", "W081", "W082"};
  for (const LintId& id : LintIds()) {
    if (id.by == DecidedBy::kNobody || elsewhere.contains(id.id)) continue;
    EXPECT_TRUE(std::any_of(Cases().begin(), Cases().end(), [&](const Case& c) {
      return std::string_view(c.told).find(" " + std::string(id.id) + " ") != std::string_view::npos;
    })) << id.id;
  }
}

// The ids that LintTests gives of one test file over kGood.
std::vector<std::string> ToldOfTest(std::string_view cases) {
  Diagnostics diagnostics("p_test.yaml");
  std::vector<TestFile> tests;
  if (!cases.empty()) {
    auto test = ReadTestFile(
        "apiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicyTest\npolicies: [p.yaml]\n"
        "context: {default: {plugin: slack, template: {name: t, outputs: {parameters: [{name: ts}]}}}}\ncases:\n" +
            std::string(cases),
        "p_test.yaml", diagnostics);
    EXPECT_TRUE(test.has_value()) << diagnostics.ToStatus().error().message();
    if (test.has_value()) tests.push_back(std::move(*test));
  }
  Diagnostics of_policy("p.yaml");
  const std::vector<Policy> policies = ReadPolicies(kGood, of_policy);
  std::vector<std::string> ids;
  for (const Diagnostic& one : LintTests(policies, tests)) ids.push_back(one.id);
  return ids;
}

TEST(Lint, TestFilesAreToldToo) {
  const std::string refusal =
      "  - {name: r, reply: {node: {phase: Error}}, expect: {verdict: deny, violations: [{path: node.phase, by: "
      "phase}]}}\n";
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"", {"W070"}},
      {refusal, {}},
      {"  - {name: a, context: {template: {outputs: null}}, reply: {node: {phase: Failed}}, expect: {verdict: "
       "allow}}\n",
       {"W073"}},
      {"  - {name: r, reply: {node: {phase: Error}}, expect: {verdict: deny}}\n", {"W074"}},
      {refusal + "  - {name: a, reply: {node: {phase: Failed}}, expect: {verdict: allow}}\n", {"W081"}},
  };
  for (const auto& [text, ids] : cases) EXPECT_EQ(ToldOfTest(text), ids) << text;
}

}  // namespace
}  // namespace bulkhead::policy::tools

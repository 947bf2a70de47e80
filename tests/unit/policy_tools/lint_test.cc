#include "policy/tools/lint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
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

struct LintCase {
  const char* told;
  std::string text;
};

const std::vector<LintCase>& LintCases() {
  static const std::vector<LintCase> cases = {
#include "tests/unit/policy_tools/lint_cases.inc"
  };
  return cases;
}

TEST(Lint, AGoodPolicyIsNotTold) {
  EXPECT_EQ(Told(std::string(kGood)), std::vector<std::string>());
}

TEST(Lint, EachIdIsToldWithItsPlaceAndWords) {
  for (const LintCase& c : LintCases()) EXPECT_EQ(Join(Told(c.text), "\n"), c.told);
}

// But for ids that a policy file alone can't have: of test files, workflows and logs, and those that stand in for
// others. Each of them names what holds it here.
TEST(Lint, EveryIdIsGiven) {
  const std::map<std::string_view, std::string_view> elsewhere = {
      {"W022", "told as E009, since the loader refuses it: APrefixNeedsADelimiter"},
      {"W070", "TestFilesAreToldToo"},
      {"W071", "PolicyTestReport.WhatIsMissingIsToldEvenWhereNoBarAsksForIt"},
      {"W072", "PolicyTestReport.PrettyNamesWhatFailedAndItsLine, the guide's test"},
      {"W073", "TestFilesAreToldToo"},
      {"W074", "TestFilesAreToldToo"},
      {"W081", "TestFilesAreToldToo, TemplatesOfWorkflowsAreComparedWithTheRules"},
      {"W082", "Replay.CountsAndNamesRulesThatNobodyNeeded, the guide's test"},
      {"W083", "FieldsThatArgoGainedAreTold"},
  };
  for (const LintId& id : LintIds()) {
    const bool here = std::any_of(LintCases().begin(), LintCases().end(), [&](const LintCase& c) {
      return std::string_view(c.told).find(" " + std::string(id.id) + " ") != std::string_view::npos;
    });
    EXPECT_NE(here, elsewhere.contains(id.id)) << id.id;
    EXPECT_EQ(FindLintId(id.id), &id);
  }
}

TEST(Lint, APrefixNeedsADelimiter) {
  const auto told = Told(With(11, "    - {id: m, path: node.message, value: {prefix: prod, maxBytes: 9}}"));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find(" E009 "), std::string::npos) << told[0];
}

// W066 only where no state that the rules make could fail.
TEST(Lint, ACheckThatCanRefuseIsNotTold) {
  const auto with = [](std::string_view expr, std::string_view rules = "") {
    return Plus(std::string(rules) + (rules.empty() ? "" : "\n") + "  checks:\n    - {id: c, message: m, expr: \"" +
                std::string(expr) + "\"}");
  };
  const std::string name = "    - {id: n, path: \"node.outputs.parameters[ts].name\", value: {const: ts}}\n";
  const std::string value = "    - {id: v, path: \"node.outputs.parameters[ts].value\", value: {enum: [a, b]}}";
  struct One {
    const char* what;
    std::string text;
    bool told;
  };
  const std::vector<One> cases = {
      {"a value of the rules fails", with("!has(node.phase) || node.phase != 'Failed'"), false},
      {"the state before any reply fails", with("!has(node.phase) || node.phase in ['Succeeded', 'Failed']"), false},
      {"an absent leaf fails", with("has(node.phase)"), false},
      {"an absent leaf is an error", with("node.phase != 'Error'"), false},
      {"a leaf without end",
       with("!has(node.message) || node.message != 'x'", "    - {id: m, path: node.message, value: {maxBytes: 9}}"),
       false},
      {"more than the state is read", with("!has(node.phase) || node.phase != workflow.name"), false},
      {"old is another state", with("!has(node.phase) || !has(old.node) || node.phase != 'Error'"), false},
      {"two leaves, which go together",
       with("!has(node.phase) || node.phase != 'Failed' || "
            "!has(node.outputs) || !has(node.outputs.parameters) || "
            "!has(node.outputs.parameters.ts)",
            name + value),
       false},
      {"no rule allows the leaf", with("!has(node.outputs) || !has(node.outputs.exitCode)"), false},
      {"no rule allows the leaf that is read", with("!has(node.message)"), true},
      {"all values do", with("!has(node.phase) || node.phase != 'Error'"), true},
  };
  for (const One& one : cases) {
    const std::string all = Join(Told(one.text), "\n");
    EXPECT_EQ(all.find(" W066 ") != std::string::npos, one.told) << one.what << "\n" << all;
  }
}

std::vector<std::string> IdsOf(const std::vector<Diagnostic>& list) {
  std::vector<std::string> ids;
  for (const Diagnostic& one : list) ids.push_back(one.id);
  return ids;
}

TEST(Lint, TemplatesOfWorkflowsAreComparedWithTheRules) {
  char folder[] = "/tmp/bulkhead-lint-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const auto told = [&](std::string_view outputs, std::string_view rules, std::string_view name_space = "ci",
                        std::string_view kind = "WorkflowTemplate") {
    const bool cron = kind == "CronWorkflow";
    std::ofstream(std::string(folder) + "/w.yaml")
        << "kind: " << kind << "\nmetadata: {name: w, namespace: " << name_space << "}\nspec: {"
        << (cron ? "workflowSpec: {" : "") << "templates: [{name: other, container: {image: x}}, {name: t, plugin: "
        << "{slack: {}}, outputs: {" << outputs << "}}]}" << (cron ? "}" : "") << "\n---\nkind: ConfigMap\n";
    const auto templates = ReadTemplates({folder});
    EXPECT_TRUE(templates.ok());
    Diagnostics diagnostics("p.yaml");
    const std::vector<Policy> policies = ReadPolicies(Plus(rules), diagnostics);
    EXPECT_FALSE(diagnostics.HasErrors()) << diagnostics.ToStatus().error().message();
    return IdsOf(LintTemplates(policies, *templates));
  };
  using Ids = std::vector<std::string>;
  const std::string rule = "    - {id: ts, path: \"node.outputs.parameters[ts].name\", value: {const: ts}}";
  const std::string strict = "    - {id: ts, path: \"node.outputs.parameters[ts].name\", value: {declared: true}}";
  const std::string file = "    - {id: ts, path: \"node.outputs.artifacts[ts].name\", value: {const: ts}}";
  for (const char* kind : {"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"}) {
    EXPECT_EQ(told("", rule, "ci", kind), Ids{"E080"}) << kind;
    EXPECT_EQ(told("parameters: [{name: ts}]", rule, "ci", kind), Ids{}) << kind;
  }
  EXPECT_EQ(told("", strict), Ids{}) << "the rule itself asks for the declaration";
  EXPECT_EQ(told("", rule, "elsewhere"), Ids{}) << "the policy matches no template";
  EXPECT_EQ(told("artifacts: [{name: ts}]", rule), (Ids{"E080", "W081"})) << "an artifact is no parameter";
  EXPECT_EQ(told("artifacts: [{name: ts}]", file), Ids{});
  EXPECT_EQ(told("parameters: [{name: ts}]", ""), Ids{"W081"});
  std::ofstream(std::string(folder) + "/broken.yaml") << "a: [";
  EXPECT_FALSE(ReadTemplates({folder}).ok());
  std::filesystem::remove_all(folder);
}

TEST(Lint, FieldsThatArgoGainedAreTold) {
  Diagnostics diagnostics("p.yaml");
  const std::vector<Policy> policies = ReadPolicies(kGood, diagnostics);
  std::set<std::string> reviewed;
  for (const LeafSpec& leaf : Leaves()) reviewed.emplace(leaf.path);
  EXPECT_TRUE(LintNewLeaves(policies, reviewed).empty());
  // Protected, and of a method that the policy is not for.
  reviewed.erase("node.outputs.parameters[].globalName");
  reviewed.erase("parameters[]");
  EXPECT_TRUE(LintNewLeaves(policies, reviewed).empty());
  reviewed.erase("node.message");
  const std::vector<Diagnostic> told = LintNewLeaves(policies, reviewed);
  ASSERT_EQ(IdsOf(told), std::vector<std::string>{"W083"});
  EXPECT_EQ(told[0].severity, Severity::kWarning);
  EXPECT_NE(told[0].message.find("1 field that rules can allow"), std::string::npos) << told[0].message;
  EXPECT_NE(told[0].message.find("node.message"), std::string::npos) << told[0].message;
}

// The ids that LintTests gives of one test file over kGood.
std::vector<std::string> ToldOfTest(std::string_view cases, std::string_view rules = "") {
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
  const std::vector<Policy> policies = ReadPolicies(rules.empty() ? std::string(kGood) : Plus(rules), of_policy);
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

  const std::string farewell =
      "    - {id: f, path: \"node.outputs.parameters[farewell].name\", value: {const: farewell}}";
  const std::string allowed =
      "  - {name: a, context: {workflow: {namespace: ci}, template: {outputs: {parameters: [{name: NAME}]}}}, reply: "
      "{node: {phase: Failed}}, expect: {verdict: allow}}\n";
  const auto with = [&](const std::string& name) {
    std::string text = refusal + allowed;
    return text.replace(text.find("NAME"), 4, name);
  };
  EXPECT_EQ(ToldOfTest(with("farewell"), farewell), std::vector<std::string>{});
  EXPECT_EQ(ToldOfTest(with("ts"), farewell), (std::vector<std::string>{"E080", "W081"}));
}

}  // namespace
}  // namespace bulkhead::policy::tools

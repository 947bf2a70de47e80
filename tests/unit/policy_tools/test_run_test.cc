#include "policy/tools/test_run.h"

#include <algorithm>

#include "policy/tools/test_report.h"
#include "runner/base/json.h"
#include "tests/unit/policy_tools/support.h"

namespace bulkhead::policy::tools {
namespace {

constexpr std::string_view kTestedRules =
    "    - {id: phase, path: node.phase, value: {enum: [Running, Succeeded]}}\n"
    "    - {id: message, path: node.message, value: {maxBytes: 4}}\n";

constexpr std::string_view kHead =
    "apiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicyTest\npolicies: [p.yaml]\n"
    "context: {default: {plugin: slack, workflow: {name: wf, namespace: ci}, template: {name: t}}}\n";

std::string Tests(std::string_view cases, std::string_view rest = "") {
  return std::string(kHead) + "cases:\n" + std::string(cases) + std::string(rest);
}

SuiteResult RunSuite(std::string_view cases, std::string_view rules = kTestedRules) {
  return RunTests(ReadTests(Tests(cases)), SetOf(PolicyText(rules)), kTestNow);
}

TEST(PolicyTest, AnExpectationIsExact) {
  struct Case {
    const char* name;
    const char* reply;
    const char* expect;
    std::vector<std::string> failures;
  };
  const std::vector<Case> cases = {
      {"allowed as expected", "{node: {phase: Succeeded}}", "{verdict: allow, rules: [phase]}", {}},
      {"a rule that did not match",
       "{node: {phase: Succeeded}}",
       "{verdict: allow, rules: [phase, message]}",
       {"rule message did not match"}},
      {"a rule too many",
       "{node: {phase: Succeeded, message: hi}}",
       "{verdict: allow, rules: [phase]}",
       {"rule message matched, unexpectedly"}},
      {"a violation too many",
       "{node: {phase: Succeeded, message: hello, progress: 1/2}}",
       "{verdict: deny, violations: [{path: node.message, by: message}]}",
       {"unexpected: node.progress by default-deny: "}},
      {"a violation that is missing",
       "{node: {message: hello}}",
       "{verdict: deny, violations: [{path: node.message, by: message}, {path: node.phase, by: x}]}",
       {"missing: node.phase by x"}},
      {"another rule refused",
       "{node: {message: hello}}",
       "{verdict: deny, violations: [{path: node.message, by: x}]}",
       {"missing: node.message by x", "unexpected: node.message by message: "}},
      {"another verdict", "{node: {phase: Succeeded}}", "{verdict: deny}", {"verdict is allow, expected deny"}},
      {"another state",
       "{node: {phase: Succeeded}}",
       "{verdict: allow, effective: {node: {phase: Failed}}}",
       {"the state after it is {\"node\":{\"phase\":\"Succeeded\"}}, expected {\"node\":{\"phase\":\"Failed\"}}"}},
      {"nothing said", "{}", "{verdict: not-mine}", {}},
  };
  for (const Case& c : cases) {
    const SuiteResult result =
        RunSuite("  - {name: c, reply: " + std::string(c.reply) + ", expect: " + std::string(c.expect) + "}\n");
    ASSERT_EQ(result.cases.size(), 1U) << c.name;
    const std::vector<std::string>& failures = result.cases[0].failures;
    ASSERT_EQ(failures.size(), c.failures.size()) << c.name;
    for (size_t i = 0; i < failures.size(); ++i) EXPECT_EQ(failures[i].substr(0, c.failures[i].size()), c.failures[i]);
  }
}

TEST(PolicyTest, WhatARefusalWasInsteadIsTold) {
  const SuiteResult result = RunSuite("  - {name: c, reply: {node: {message: hello}}, expect: {verdict: allow}}\n");
  ASSERT_EQ(result.cases[0].failures.size(), 2U);
  EXPECT_EQ(result.cases[0].failures[0], "verdict is deny, expected allow");
  EXPECT_EQ(result.cases[0].failures[1].rfind("unexpected: node.message by message: ", 0), 0U);
}

TEST(PolicyTest, RepliesAreJudgedOnWhatEarlierOnesLeft) {
  const SuiteResult result = RunSuite(
      "  - name: c\n    replies: [{node: {phase: Running, message: a}}, {node: {phase: Succeeded}}]\n"
      "    expect: {verdict: allow, effective: {node: {message: a, phase: Succeeded}}}\n"
      "  - name: d\n    replies: [{node: {phase: Succeeded}}, {node: {phase: Running}}]\n"
      "    expect: {verdict: deny, violations: [{path: node.phase, by: argo.transitions}]}\n");
  EXPECT_EQ(result.failed(), 0U);
}

TEST(PolicyTest, RawBytesReachTheDecoderAsTheyAre) {
  const SuiteResult result = RunSuite(
      "  - {name: c, rawReply: '{\"node\":{},\"node\":{}}', expect: {verdict: error, violations: [{path: node, by: "
      "decode.duplicate-key}]}}\n"
      "  - {name: d, rawReplyBase64: \"/w==\", expect: {verdict: error}}\n");
  EXPECT_EQ(result.cases[0].failures, std::vector<std::string>());
  EXPECT_EQ(result.cases[1].failures, std::vector<std::string>());
}

TEST(PolicyTest, ARuleThatNoCaseExercisesIsNamed) {
  const SuiteResult result = RunSuite("  - {name: c, reply: {node: {phase: Succeeded}}, expect: {verdict: allow}}\n");
  EXPECT_EQ(result.coverage(), 50);
  ASSERT_EQ(result.unexercised.size(), 1U);
  EXPECT_EQ(result.unexercised[0].rule, "message");
  EXPECT_EQ(result.unexercised[0].place, "p.yaml:8");
}

TEST(PolicyTest, ARefusalDoesNotExerciseAnAllowRule) {
  const SuiteResult result = RunSuite(
      "  - {name: c, reply: {node: {message: hello}}, expect: {verdict: deny, violations: [{path: node.message, by: "
      "message}]}}\n");
  EXPECT_EQ(result.coverage(), 0);
}

TEST(PolicyTest, ARuleThatNoCaseWouldMissSurvives) {
  const SuiteResult result = RunSuite(
      "  - {name: c, reply: {node: {phase: Succeeded, message: hi}}, expect: {verdict: allow}}\n"
      "  - {name: d, reply: {node: {phase: Pending}}, expect: {verdict: deny, violations: [{path: node.phase, by: "
      "phase}]}}\n");
  ASSERT_TRUE(result.kill_tried);
  // Dropped and without its enum; dropped and without its maxBytes, which only a long message would miss.
  EXPECT_EQ(result.mutants, 4U);
  ASSERT_EQ(result.survivors.size(), 1U);
  EXPECT_EQ(result.survivors[0].rule.rule, "message");
  EXPECT_EQ(result.survivors[0].change, "without its maxBytes");
  EXPECT_EQ(result.survivors[0].advice, "a reply whose node.message breaks only that, and is refused");
}

TEST(PolicyTest, TheBarsOfATestFileAreKept) {
  const std::string cases = "  - {name: c, reply: {node: {phase: Succeeded}}, expect: {verdict: allow}}\n";
  const auto run = [&](const std::string& bars) {
    return RunTests(ReadTests(Tests(cases, bars)), SetOf(PolicyText(kTestedRules)), kTestNow).below_bar();
  };
  EXPECT_FALSE(run(""));
  EXPECT_FALSE(run("require: {ruleCoverage: 50}\n"));
  EXPECT_TRUE(run("require: {ruleCoverage: 51}\n"));
  EXPECT_TRUE(run("require: {ruleKill: 100}\n"));
}

TEST(PolicyTest, APolicyInModeAuditIsTestedAsIfEnforced) {
  std::string text = PolicyText(kTestedRules);
  text.replace(text.find("spec:\n"), 6, "spec:\n  mode: audit\n  expires: \"2027-02-01\"\n");
  const SuiteResult result =
      RunTests(ReadTests(Tests("  - {name: c, reply: {node: {message: hello}}, expect: {verdict: deny}}\n")),
               SetOf(text), kTestNow);
  EXPECT_EQ(result.failed(), 0U);
}

TEST(PolicyTest, AMistakeInATestFileIsAnError) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {std::string(kHead) + "cases: []\n", "a test file without cases tests nothing"},
      {std::string(kHead), "a test file without cases tests nothing"},
      {Tests("  - {name: c, replay: {}, reply: {}, expect: {verdict: allow}}\n"), "replay"},
      {Tests("  - {name: c, reply: {}, expect: {verdict: allowed}}\n"), "did you mean \"allow\"?"},
      {Tests("  - {name: c, expect: {verdict: allow}}\n"), "one of reply, rawReply, rawReplyBase64 and replies"},
      {Tests("  - {name: c, reply: {}, rawReply: x, expect: {verdict: allow}}\n"), "one of reply"},
      {Tests("  - {name: c, reply: {}}\n"), "a case needs \"expect\""},
      {Tests(
           "  - {name: c, reply: {}, expect: {verdict: allow}}\n  - {name: c, reply: {}, expect: {verdict: allow}}\n"),
       "another case is named \"c\""},
      {Tests("  - {name: c, context: defualt, reply: {}, expect: {verdict: allow}}\n"), "did you mean \"default\"?"},
      {Tests("  - {name: c, reply: {}, expect: {verdict: allow}}\n", "require: {minCases: 2}\n"),
       "there are 1 cases; require.minCases asks for 2"},
      {Tests("  - {name: c, context: {rpc: template.exec}, reply: {}, expect: {verdict: allow}}\n"),
       "did you mean \"template.execute\"?"},
      {Tests("  - {name: c, reply: {}, expect: {verdict: allow, violations: [{by: x}]}}\n"), "has no violations"},
  };
  for (const auto& [text, message] : cases) {
    Diagnostics diagnostics("p_test.yaml");
    EXPECT_FALSE(ReadTestFile(text, "p_test.yaml", diagnostics).has_value()) << text;
    const std::string told = diagnostics.ToStatus().ok() ? "" : diagnostics.ToStatus().error().message();
    EXPECT_NE(told.find(message), std::string::npos) << told;
  }
}

std::vector<SuiteResult> OneGoodOneBad() {
  std::vector<SuiteResult> suites;
  suites.push_back(
      RunSuite("  - {name: good, reply: {node: {phase: Succeeded}}, expect: {verdict: allow}}\n"
               "  - {name: \"bad <&\\e[31m#1\", reply: {node: {phase: Pending}}, expect: {verdict: allow}}\n"));
  return suites;
}

TEST(PolicyTestReport, PrettyNamesWhatFailedAndItsLine) {
  const std::string out = RenderTests(OneGoodOneBad(), TestFormat::kPretty, false);
  EXPECT_NE(out.find("  FAIL  bad <&\\x1b[31m#1  (p_test.yaml:7)\n        verdict is deny, expected allow\n"),
            std::string::npos)
      << out;
  EXPECT_EQ(out.find("ok    good"), std::string::npos);
  EXPECT_NE(RenderTests(OneGoodOneBad(), TestFormat::kPretty, true).find("  ok    good\n"), std::string::npos);
  EXPECT_NE(out.find("1 passed, 1 failed\n"), std::string::npos);
}

TEST(PolicyTestReport, WhatIsMissingIsToldEvenWhereNoBarAsksForIt) {
  const std::vector<SuiteResult> suites = {
      RunSuite("  - {name: c, reply: {node: {phase: Succeeded}}, expect: {verdict: allow}}\n")};
  const std::string out = RenderTests(suites, TestFormat::kPretty, false);
  EXPECT_NE(
      out.find("  warn  rule coverage: 1 of 2 (50%)\n        p.yaml:8: no case exercises rule message of p [W071]\n"),
      std::string::npos)
      << out;
}

TEST(PolicyTestReport, JunitIsWellFormedWhateverTheNames) {
  const std::string out = RenderTests(OneGoodOneBad(), TestFormat::kJunit, false);
  EXPECT_NE(out.find("name=\"bad &lt;&amp;\\x1b[31m#1\""), std::string::npos) << out;
  EXPECT_NE(out.find("<testsuite name=\"p_test.yaml\" tests=\"4\" failures=\"1\">"), std::string::npos) << out;
}

TEST(PolicyTestReport, TapCountsAndEscapesDirectives) {
  const std::string out = RenderTests(OneGoodOneBad(), TestFormat::kTap, false);
  EXPECT_EQ(out.rfind("TAP version 13\n1..4\nok 1 - p_test.yaml: good\nnot ok 2 - ", 0), 0U) << out;
  EXPECT_NE(out.find("\\#1\n"), std::string::npos);
}

TEST(PolicyTestReport, GithubEscapesItsCommands) {
  const std::string out = RenderTests(OneGoodOneBad(), TestFormat::kGithub, false);
  EXPECT_EQ(out.rfind("::error file=p_test.yaml,line=7,title=bad <&\\x1b[31m#1::verdict is deny%2C", 0),
            std::string::npos);
  EXPECT_EQ(out.rfind("::error file=p_test.yaml,line=7,title=", 0), 0U) << out;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

TEST(PolicyTestReport, JsonIsJson) {
  const JsonParse parsed = ParseJson(RenderTests(OneGoodOneBad(), TestFormat::kJson, false));
  ASSERT_TRUE(parsed.ok) << parsed.error.message;
  EXPECT_EQ(parsed.value.Find("suites")->items[0].Find("cases")->items[1].Find("passed")->boolean, false);
}

}  // namespace
}  // namespace bulkhead::policy::tools

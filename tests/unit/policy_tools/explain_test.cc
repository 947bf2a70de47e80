#include "policy/tools/explain.h"

#include <algorithm>

#include "policy/tools/lint.h"
#include "tests/unit/policy_tools/support.h"

namespace bulkhead::policy::tools {
namespace {

constexpr std::string_view kRules =
    "    - {id: phase, path: node.phase, value: {enum: [Succeeded, Failed]}}\n"
    "    - {id: ts-name, path: \"node.outputs.parameters[ts].name\"}\n"
    "    - {id: ts, path: \"node.outputs.parameters[ts].value\", op: [add], value: {pattern: \"[0-9]{1,9}\"}}\n";

TEST(Explain, EachLeafHasItsRuleAndPlace) {
  const PolicySet set = SetOf(PolicyText(kRules));
  const Explanation explanation = Explain(
      set, SlackRunning(),
      R"({"node":{"phase":"Succeeded","outputs":{"parameters":[{"name":"ts","value":"now"},{"name":"tz","value":"1"}]}}})",
      kTestNow);
  EXPECT_EQ(explanation.outcome.verdict, "deny");
  EXPECT_EQ(explanation.policies, std::vector<std::string>{"p"});
  const auto find = [&](std::string_view path) {
    return std::find_if(explanation.leaves.begin(), explanation.leaves.end(),
                        [&](const ExplainedLeaf& leaf) { return leaf.verdict.path == path; });
  };
  const auto phase = find("node.phase");
  ASSERT_NE(phase, explanation.leaves.end());
  EXPECT_TRUE(phase->verdict.allowed);
  EXPECT_EQ(phase->at.line, 7U);
  EXPECT_EQ(phase->at.column, 7U);
  const auto ts = find("node.outputs.parameters[ts].value");
  ASSERT_NE(ts, explanation.leaves.end());
  EXPECT_FALSE(ts->verdict.allowed);
  EXPECT_EQ(ts->verdict.by.rule, "ts");
  EXPECT_EQ(ts->at.line, 9U);
  const auto tz = find("node.outputs.parameters[tz].value");
  ASSERT_NE(tz, explanation.leaves.end());
  EXPECT_EQ(tz->verdict.by.rule, "default-deny");
  EXPECT_EQ(tz->nearest_rule, "ts");
  EXPECT_EQ(tz->nearest_place, "p.yaml:9");
}

TEST(Explain, ACallThatNoPolicyMatchesIsSaidSo) {
  CallContext context = SlackRunning();
  context.plugin = "other";
  const Explanation explanation =
      Explain(SetOf(PolicyText(kRules)), context, R"({"node":{"phase":"Failed"}})", kTestNow);
  EXPECT_EQ(explanation.outcome.verdict, "deny");
  EXPECT_TRUE(explanation.policies.empty());
}

WhyNot Ask(std::string_view path, const std::optional<std::string>& value, Op op = Op::kAdd,
           std::string_view rest = "") {
  auto answer = ExplainWhyNot(SetOf(PolicyText(kRules, rest)), SlackRunning(), path, value, op, kTestNow);
  EXPECT_TRUE(answer.ok()) << answer.error().message();
  return answer.ok() ? std::move(*answer) : WhyNot();
}

TEST(WhyNot, TheSmallestRuleNamesTheValueAndTheOp) {
  const WhyNot answer = Ask("node.message", "hello there");
  EXPECT_FALSE(answer.allowed_already);
  EXPECT_EQ(answer.impossible, "");
  EXPECT_EQ(answer.rules, std::vector<std::string>{
                              "{id: why-not-1, path: node.message, op: [add], value: {const: \"hello there\"}}"});
  ASSERT_EQ(answer.lets_in.size(), 1U);
  EXPECT_EQ(answer.lets_in[0].subject, "node.message");
  EXPECT_EQ(answer.lets_in[0].ops, "add");
  EXPECT_EQ(answer.lets_in[0].after, "{const: \"hello there\"}");
}

TEST(WhyNot, AParameterNeedsARuleForItsNameToo) {
  const WhyNot answer = Ask("node.outputs.parameters[sum].value", "4");
  std::vector<std::string> rules = answer.rules;
  std::sort(rules.begin(), rules.end());
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_NE(rules[0].find("\"node.outputs.parameters[sum].name\", op: [add], value: {const: sum}"), std::string::npos)
      << rules[0];
  EXPECT_NE(rules[1].find("\"node.outputs.parameters[sum].value\", op: [add], value: {const: \"4\"}"),
            std::string::npos)
      << rules[1];
  EXPECT_EQ(answer.lets_in.size(), 2U);
}

TEST(WhyNot, WhatIsAllowedAlreadyIsSaidSo) {
  const WhyNot answer = Ask("node.outputs.parameters[ts].value", "17");
  EXPECT_TRUE(answer.allowed_already);
  EXPECT_EQ(answer.allowing_rule, "ts (p.yaml:9)");
}

TEST(WhyNot, AProtectedLeafNeedsAnUnprotect) {
  const WhyNot answer = Ask("node.outputs.parameters[ts].globalName", "approved");
  ASSERT_EQ(answer.unprotect.size(), 1U);
  EXPECT_EQ(answer.unprotect[0],
            "{set: argo.globals, path: \"node.outputs.parameters[ts].globalName\", reason: \"...\", expires: "
            "\"YYYY-MM-DD\"}");
  ASSERT_EQ(answer.rules.size(), 1U);
}

TEST(WhyNot, WhatNoRuleCanAllowIsSaidSo) {
  EXPECT_NE(Ask("node.message", "{{workflow.name}}").impossible.find("argo.values"), std::string::npos);
  EXPECT_NE(Ask("node.phase", "Done").impossible.find("argo.transitions"), std::string::npos);
  EXPECT_NE(Ask("node.message", "x", Op::kAdd, "  deny:\n    - {id: quiet, path: node.message, message: nope}\n")
                .impossible.find("quiet at p.yaml"),
            std::string::npos);
}

TEST(WhyNot, AChangeIsNotAnAddition) {
  const WhyNot answer = Ask("node.outputs.parameters[ts].value", "17", Op::kChange);
  ASSERT_EQ(answer.rules.size(), 1U);
  EXPECT_NE(answer.rules[0].find("op: [change]"), std::string::npos);
}

TEST(WhyNot, AWrongPathIsAnErrorWithTheNearestName) {
  const auto answer =
      ExplainWhyNot(SetOf(PolicyText(kRules)), SlackRunning(), "node.mesage", std::nullopt, Op::kAdd, kTestNow);
  ASSERT_FALSE(answer.ok());
  EXPECT_NE(answer.error().message().find("did you mean \"message\"?"), std::string::npos) << answer.error().message();
}

struct DiffCase {
  const char* name;
  const char* before;
  const char* after;
  std::vector<std::string> told;
};

TEST(PolicyDiff, EachKindOfDifferenceIsTold) {
  const std::vector<DiffCase> cases = {
      {"nothing", "    - {id: a, path: node.message}\n", "    - {id: b, path: node.message, note: other id}\n", {}},
      {"a leaf more",
       "    []\n",
       "    - {id: a, path: node.message}\n",
       {"newly allowed node.message (add, change):  -> any value"}},
      {"a leaf less",
       "    - {id: a, path: node.message}\n",
       "    []\n",
       {"newly denied node.message (add, change): any value -> "}},
      {"other values",
       "    - {id: a, path: node.message, value: {enum: [x]}}\n",
       "    - {id: a, path: node.message, value: {enum: [x, w]}}\n",
       {"other values node.message (add, change): {enum: [x]} -> {enum: [x, w]}"}},
      {"an op more",
       "    - {id: a, path: node.message, op: [add]}\n",
       "    - {id: a, path: node.message}\n",
       {"newly allowed node.message (change):  -> any value"}},
      {"one name to all",
       "    - {id: a, path: \"node.outputs.parameters[ts].name\"}\n",
       "    - {id: a, path: \"node.outputs.parameters[*].name\"}\n",
       {"newly allowed node.outputs.parameters[*].name (add, change):  -> any value"}},
  };
  for (const DiffCase& c : cases) {
    const std::vector<Policy> before = Read(PolicyText(c.before));
    const std::vector<Policy> after = Read(PolicyText(c.after));
    std::vector<std::string> told;
    for (const Difference& one : DiffPolicies(before, after)) {
      told.push_back(std::string(KindName(one.kind)) + " " + one.subject + " (" + one.ops + "): " + one.before +
                     " -> " + one.after);
    }
    EXPECT_EQ(told, c.told) << c.name;
  }
}

TEST(PolicyDiff, ADenyAndAProtectedSetCountAsDenied) {
  const std::string rule = "    - {id: a, path: node.message}\n";
  const std::vector<Policy> open = Read(PolicyText(rule));
  const std::vector<Policy> closed =
      Read(PolicyText(rule, "  deny:\n    - {id: d, path: node.message, message: nope}\n"));
  const std::vector<Difference> list = DiffPolicies(open, closed);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].kind, Difference::Kind::kNewlyDenied);
}

TEST(PolicyDiff, SettingsAreCompared) {
  std::string wide = PolicyText(kRules);
  wide.replace(wide.find("namespaces: [\"*\"]"), 17, "namespaces: [ci]");
  const std::vector<Difference> list =
      DiffPolicies(Read(PolicyText(kRules, "  require:\n    - {id: r, path: node.phase, message: m}\n")), Read(wide));
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].subject, "match.namespaces");
  EXPECT_EQ(list[0].before, "[\"*\"]");
  EXPECT_EQ(list[0].after, "[ci]");
  EXPECT_EQ(list[1].subject, "require r");
  EXPECT_EQ(list[1].after, "");
}

TEST(Globs, MeetWhenSomeTextMatchesBoth) {
  struct Case {
    const char* a;
    const char* b;
    bool meet;
  };
  const Case cases[] = {{"a", "a", true},       {"a", "b", false},    {"*", "", true},       {"a*", "*b", true},
                        {"a*", "b*", false},    {"a*c", "ab*", true}, {"*a", "*b", false},   {"a*b*c", "abc", true},
                        {"ci-*", "*-ci", true}, {"**", "x", true},    {"a", "a*a", false},   {"", "*", true},
                        {"*x*", "*y*", true},   {"ab", "a*b", true},  {"*-a", "b-*a", true}, {"x*y", "x", false}};
  for (const Case& c : cases) {
    EXPECT_EQ(GlobsMeet(c.a, c.b), c.meet) << c.a << " " << c.b;
    EXPECT_EQ(GlobsMeet(c.b, c.a), c.meet) << c.b << " " << c.a;
  }
}

}  // namespace
}  // namespace bulkhead::policy::tools

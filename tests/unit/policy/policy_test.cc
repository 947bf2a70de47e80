#include "policy/policy.h"

#include <gtest/gtest.h>

#include "runner/base/json.h"

namespace bulkhead::policy {
namespace {

std::string WithSpec(const std::string& spec, const std::string& name = "test") {
  return "apiVersion: mutation.policy/v1\nkind: MutationPolicy\nmetadata: {name: " + name +
         ", owner: o@example.com, reviewBy: \"2099-01-01\"}\nspec:\n  mode: enforce\n"
         "  match: {plugin: {name: p}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"]}\n" +
         spec;
}

Value ReadJson(std::string_view text) {
  JsonParse parsed = ParseJson(text);
  EXPECT_TRUE(parsed.ok) << text;
  return std::move(parsed.value);
}

class PolicyTest : public ::testing::Test {
 protected:
  void Load(const std::string& spec) {
    const Status status = set_.Load(WithSpec(spec), "p.yaml");
    ASSERT_TRUE(status.ok()) << status.error().message();
  }
  const Decision& Decide(std::string_view reply, std::string_view before = R"({"node":{}})") {
    sent_ = ReadJson(before);
    Call call;
    call.subject = subject_;
    call.sent = &sent_;
    call.now = now_;
    return evaluator_.Decide(set_, call, reply);
  }
  // Whether `reply` as a whole goes through.
  bool Allows(std::string_view reply) { return Decide(reply).kind == Decision::Kind::kAllowed; }

  PolicySet set_;
  Subject subject_ = {"p", "template.execute", "ns", "wf", "t"};
  Evaluator evaluator_;
  Value sent_;
  int64_t now_ = 1'800'000'000;  // January 2027
};

constexpr const char* kAllowAll = R"(  allow:
    - {id: phase, path: node.phase}
    - {id: message, path: node.message}
    - {id: names, path: "node.outputs.parameters[*].name"}
    - {id: values, path: "node.outputs.parameters[*].value"}
)";

TEST_F(PolicyTest, DefaultIsDeny) {
  const Decision& decision = Decide(R"({"node":{"phase":"Succeeded"}})");
  EXPECT_EQ(decision.kind, Decision::Kind::kRefused);
  ASSERT_EQ(decision.verdicts.size(), 1U);
  EXPECT_FALSE(decision.verdicts[0].allowed);
}

TEST_F(PolicyTest, OnlyWhatARuleNamesIsAllowed) {
  Load("  allow:\n    - {id: phase, path: node.phase, value: {enum: [Succeeded]}}\n");
  EXPECT_TRUE(Allows(R"({"node":{"phase":"Succeeded"}})"));
  EXPECT_FALSE(Allows(R"({"node":{"phase":"Failed"}})"));
  EXPECT_FALSE(Allows(R"({"node":{"phase":"Succeeded","message":"x"}})"));
  subject_.plugin = "q";
  EXPECT_FALSE(Allows(R"({"node":{"phase":"Succeeded"}})"));
}

TEST_F(PolicyTest, ADenialWinsWhateverTheOrder) {
  Load("  deny:\n    - {id: no-oops, path: node.message, value: {prefix: \"oops:\"}, message: never oops}\n" +
       std::string(kAllowAll));
  EXPECT_TRUE(Allows(R"({"node":{"message":"fine"}})"));
  const Decision& decision = Decide(R"({"node":{"message":"oops: sorry"}})");
  EXPECT_EQ(decision.kind, Decision::Kind::kRefused);
  EXPECT_EQ(decision.verdicts[0].by.rule, "no-oops");
  EXPECT_NE(decision.verdicts[0].reason.find("never oops"), std::string::npos);
}

TEST_F(PolicyTest, ARefusalNamesRuleFileAndLineAndNotTheValue) {
  Load("  allow:\n    - {id: phase, path: node.phase, value: {enum: [Succeeded]}}\n");
  const Decision& decision = Decide(R"({"node":{"phase":"Failed"}})");
  ASSERT_EQ(decision.kind, Decision::Kind::kRefused);
  EXPECT_EQ(decision.verdicts[0].by.rule, "phase");
  EXPECT_EQ(decision.verdicts[0].by.place, "p.yaml:8");
  EXPECT_EQ(decision.verdicts[0].reason.find("Failed"), std::string::npos) << decision.verdicts[0].reason;
}

TEST_F(PolicyTest, ConstraintsHoldTogether) {
  struct Case {
    const char* value;
    const char* good;
    const char* bad;
  };
  const std::vector<Case> cases = {
      {"{const: abc}", "abc", "abcd"},
      {"{pattern: \"[a-z]+\"}", "abc", "abc1"},
      {"{pattern: \"a|b\"}", "b", "ba"},
      {"{prefix: \"s3://bucket/\"}", "s3://bucket/x", "s3://bucke"},
      {"{maxBytes: 4}", "\\u00e9\\u00e9", "\\u00e9\\u00e9a"},
      {"{charset: token}", "a-b.c_D9", "a b"},
      {"{charset: printable}", "a b", "a\\tb"},
      {"{type: integer, min: 1, max: 10}", "10", "11"},
      {"{type: integer}", "-3", "3.5"},
      {"{type: number}", "3.5", "x"},
      {"{type: boolean}", "true", "yes"},
      {"{pattern: \"[a-z]+\", maxBytes: 3}", "abc", "abcd"},
  };
  for (const Case& one : cases) {
    set_ = PolicySet();
    Load(
        "  allow:\n    - {id: nm, path: \"node.outputs.parameters[x].name\"}\n    - {id: vl, path: "
        "\"node.outputs.parameters[x].value\", value: " +
        std::string(one.value) + "}\n");
    const auto reply = [](const char* value) {
      return R"({"node":{"outputs":{"parameters":[{"name":"x","value":")" + std::string(value) + R"("}]}}})";
    };
    EXPECT_TRUE(Allows(reply(one.good))) << one.value << " " << one.good;
    EXPECT_FALSE(Allows(reply(one.bad))) << one.value << " " << one.bad;
  }
}

TEST_F(PolicyTest, BuiltInGuardsCannotBeAllowedAway) {
  Load(kAllowAll);
  const auto value = [](const std::string& text) {
    return R"({"node":{"outputs":{"parameters":[{"name":"x","value":")" + text + R"("}]}}})";
  };
  EXPECT_TRUE(Allows(value("plain")));
  for (const char* const text : {"{{workflow.name}}", "a}}", "\\u202e", "\\u0000", "\\u2028", "\\ufff9",
                                 "__argo__internal__placeholder-1", "a\\nb"}) {
    const Decision& decision = Decide(value(text));
    EXPECT_EQ(decision.kind, Decision::Kind::kRefused) << text;
  }
  EXPECT_FALSE(Allows(R"({"node":{"phase":"Skipped"}})"));
  EXPECT_FALSE(Allows(R"({"node":{"phase":"Daemoned"}})"));
  const auto kind = [&](const char* reply, const char* before) { return Decide(reply, before).kind; };
  EXPECT_EQ(kind(R"({"node":{"phase":"Running"}})", R"({"node":{"phase":"Succeeded"}})"), Decision::Kind::kRefused);
  EXPECT_EQ(kind(R"({"node":{"phase":"Pending"}})", R"({"node":{"phase":"Running"}})"), Decision::Kind::kRefused);
}

TEST_F(PolicyTest, WhatWasThereIsNoMutation) {
  Load("  allow:\n    - {id: phase, path: node.phase}\n");
  const Decision decision =
      Decide(R"({"node":{"phase":"Succeeded","message":"x"}})", R"({"node":{"phase":"Running","message":"x"}})");
  EXPECT_EQ(decision.kind, Decision::Kind::kAllowed);
  EXPECT_EQ(decision.allowed, 1U);
}

TEST_F(PolicyTest, KeyedListsAreMatchedByName) {
  Load(kAllowAll);
  const Decision decision =
      Decide(R"({"node":{"outputs":{"parameters":[{"name":"b","value":"2"},{"name":"a","value":"9"}]}}})",
             R"({"node":{"outputs":{"parameters":[{"name":"a","value":"1"},{"name":"b","value":"2"}]}}})");
  ASSERT_EQ(decision.verdicts.size(), 1U) << "b is the same, only a's value changed";
  EXPECT_EQ(decision.verdicts[0].path, "node.outputs.parameters[a].value");
  EXPECT_EQ(decision.verdicts[0].op, Op::kChange);
}

TEST_F(PolicyTest, ANameTwiceIsNoMutationAnyPolicyCanAllow) {
  Load(kAllowAll);
  const Decision& decision =
      Decide(R"({"node":{"outputs":{"parameters":[{"name":"a","value":"1"},{"name":"a","value":"2"}]}}})");
  ASSERT_EQ(decision.verdicts.size(), 1U);
  EXPECT_EQ(decision.verdicts[0].by.rule, "argo.list-keys");
  EXPECT_EQ(decision.verdicts[0].path, "node.outputs.parameters[a]");
}

TEST_F(PolicyTest, LimitsAndRequirements) {
  Load("  limits: {replyBytes: 60}\n  require:\n    - {id: must, path: node.message, message: say something}\n" +
       std::string(kAllowAll));
  EXPECT_TRUE(Allows(R"({"node":{"phase":"Succeeded","message":"x"}})"));
  EXPECT_FALSE(Allows(R"({"node":{"phase":"Succeeded"}})"));
  EXPECT_FALSE(Allows(R"({"node":{"phase":"Succeeded","message":"12345678901234567890123456789"}})"));
}

TEST_F(PolicyTest, APathWithAQuotedKeyMatchesOnlyIt) {
  Load(
      "  allow:\n    - {id: nm, path: 'node.outputs.parameters[\"a b\"].name'}\n    - {id: vl, path: "
      "'node.outputs.parameters[\"a b\"].value'}\n");
  EXPECT_TRUE(Allows(R"({"node":{"outputs":{"parameters":[{"name":"a b","value":"1"}]}}})"));
  // A name made to look like the end of one step and the start of another.
  EXPECT_FALSE(Allows(R"({"node":{"outputs":{"parameters":[{"name":"a b\"].value[\"x","value":"1"}]}}})"));
}

// --- errors of policy files -----------------------------------------------------------------------

TEST(PolicyErrors, SayWhereAndWhatToWrite) {
  struct Case {
    std::string spec;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"  allow:\n    - {id: a, pth: node.phase}\n", "pth"},
      {"  alow: []\n", "did you mean \"allow\""},
      {"  allow:\n    - {id: a, path: node.phse}\n", "phase"},
      {"  allow:\n    - {id: a, path: node.phase, value: {enm: [x]}}\n", "did you mean \"enum\""},
      {"  allow:\n    - {id: a, path: node.phase, value: {pattern: \"[\"}}\n", "pattern"},
      {"  allow:\n    - {id: a, path: node.phase}\n    - {id: a, path: node.message}\n", "\"a\""},
      {"  allow:\n    - {id: \"a b\", path: node.phase}\n", "id"},
      {"  allow:\n    - {id: a, path: \"node.outputs.parameters[x].globalName\"}\n", "argo.globals"},
      {"  mode: warn\n", "mode"},
      {"  checks: [1]\n", "must be a mapping"},
      {"  limits: {replyBytes: -1}\n", "replyBytes"},
  };
  for (const Case& one : cases) {
    PolicySet set;
    const Status status = set.Load(WithSpec(one.spec), "p.yaml");
    ASSERT_FALSE(status.ok()) << one.spec;
    EXPECT_TRUE(status.error().message().starts_with("p.yaml:")) << status.error().message();
    EXPECT_NE(status.error().message().find(one.expected), std::string::npos)
        << one.spec << " -> " << status.error().message();
    EXPECT_TRUE(set.empty());
  }
}

TEST(PolicyErrors, AllOfAFileComeAtOnce) {
  PolicySet set;
  const Status status = set.Load(WithSpec("  alow: []\n  dny: []\n"), "p.yaml");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message().find("alow"), std::string::npos);
  EXPECT_NE(status.error().message().find("dny"), std::string::npos);
}

TEST(PolicyErrors, ANameTwiceIsRefused) {
  PolicySet set;
  ASSERT_TRUE(set.Load(WithSpec(""), "a.yaml").ok());
  EXPECT_FALSE(set.Load(WithSpec(""), "b.yaml").ok());
  EXPECT_EQ(set.Names().size(), 1U);
}

TEST(PolicyDigest, CoversTheTexts) {
  PolicySet one, two, three;
  ASSERT_TRUE(one.Load(WithSpec(""), "a.yaml").ok());
  ASSERT_TRUE(two.Load(WithSpec(""), "b.yaml").ok());
  ASSERT_TRUE(three.Load(WithSpec("  deny: []\n"), "a.yaml").ok());
  EXPECT_EQ(one.Digest(), two.Digest());
  EXPECT_NE(one.Digest(), three.Digest());
}

}  // namespace
}  // namespace bulkhead::policy

#include "runner/agent/judge.h"

#include <gtest/gtest.h>

namespace bulkhead::agent {
namespace {

constexpr std::string_view kJudgedBy = R"(apiVersion: mutation.policy/v1
kind: MutationPolicy
metadata: {name: test, owner: team@example.com, reviewBy: "2099-01-01"}
spec:
  mode: enforce
  match: {plugin: {name: p}, rpc: [template.execute], namespaces: ["*"], templates: ["*"]}
  allow:
    - {id: phase, path: node.phase, value: {enum: [Running, Succeeded, Failed]}}
    - {id: message, path: node.message, value: {charset: text, maxBytes: 64}}
    - {id: name, path: "node.outputs.parameters[x].name", value: {const: x}}
    - {id: value, path: "node.outputs.parameters[x].value", value: {charset: token, maxBytes: 16}}
    - {id: requeue, path: requeue, value: {duration: {min: 1s, max: 1h}}}
)";

class JudgeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const Status loaded = policies_.Load(kJudgedBy, "test.yaml");
    ASSERT_TRUE(loaded.ok()) << loaded.error().message();
    std::vector<redact::NamedSecret> secrets;
    secrets.push_back({"token", Secret("hunter2hunter2")});
    auto redactor = redact::Redactor::Create(std::move(secrets));
    ASSERT_TRUE(redactor.ok());
    redactor_ = *redactor;
  }

  Judgement Judge(std::string_view reply, const Value& before = Value::Object(), std::string_view plugin = "p") {
    const Value sent = AsSent(before);
    policy::Call call;
    call.subject = {plugin, "template.execute", "ns", "wf", "t"};
    call.sent = &sent;
    return agent::Judge(reply, call, policies_, *redactor_);
  }

  policy::PolicySet policies_;
  std::shared_ptr<const redact::Redactor> redactor_;
};

TEST_F(JudgeTest, AnAllowedReplyIsAppliedAsEncodedAnew) {
  const Judgement judgement = Judge(R"( {"node" : {"phase":"Succeeded","message":"d\u006fne"}} )");
  ASSERT_EQ(judgement.kind, Judgement::Kind::kApplied) << judgement.message;
  EXPECT_EQ(ToJson(judgement.effective), R"({"message":"done","phase":"Succeeded"})");
  EXPECT_EQ(judgement.allowed, 2U);
  EXPECT_EQ(judgement.refused, 0U);
}

TEST_F(JudgeTest, EmptyAndNullAreNotMine) {
  EXPECT_EQ(Judge("{}").kind, Judgement::Kind::kNotMine);
  EXPECT_EQ(Judge("null").kind, Judgement::Kind::kNotMine);
}

TEST_F(JudgeTest, OneRefusedLeafRefusesTheWholeReply) {
  const Judgement judgement = Judge(R"({"node":{"phase":"Succeeded","outputs":{"result":"x"}}})");
  ASSERT_EQ(judgement.kind, Judgement::Kind::kRefused);
  EXPECT_EQ(judgement.layer, Layer::kPolicy);
  EXPECT_TRUE(judgement.effective.members.empty());
  EXPECT_NE(judgement.message.find("node.outputs.result"), std::string::npos) << judgement.message;
}

TEST_F(JudgeTest, ARuleIsNamedWithFileAndLine) {
  const Judgement judgement = Judge(R"({"node":{"phase":"Error"}})");
  ASSERT_EQ(judgement.kind, Judgement::Kind::kRefused);
  EXPECT_NE(judgement.message.find("test.yaml:8"), std::string::npos) << judgement.message;
}

TEST_F(JudgeTest, DamagedBytesAreRefusedBeforePolicy) {
  for (const std::string_view reply :
       {R"({"node":{"phase":"Succeeded","phase":"Failed"}})", R"({"node":{"Phase":"Succeeded"}})",
        R"({"node":{"phase":"Succeeded"}} x)", "\xFF", "", R"({"node":{"phase":1}})"}) {
    const Judgement judgement = Judge(reply);
    EXPECT_EQ(judgement.kind, Judgement::Kind::kRefused) << reply;
    EXPECT_EQ(judgement.layer, Layer::kDecode) << reply;
  }
}

TEST_F(JudgeTest, AnotherPluginsPolicyIsNoPolicy) {
  const Judgement judgement = Judge(R"({"node":{"phase":"Succeeded"}})", Value::Object(), "other");
  EXPECT_EQ(judgement.kind, Judgement::Kind::kRefused);
}

TEST_F(JudgeTest, SecretsAreMaskedInResultsAndInReasons) {
  const Judgement applied = Judge(R"({"node":{"phase":"Succeeded","message":"it is hunter2hunter2"}})");
  ASSERT_EQ(applied.kind, Judgement::Kind::kApplied) << applied.message;
  EXPECT_EQ(ToJson(applied.effective).find("hunter2"), std::string::npos);
  EXPECT_EQ(applied.masked, 1U);
  const Judgement refused =
      Judge(R"({"node":{"phase":"Succeeded","outputs":{"parameters":[{"name":"hunter2hunter2","value":"v"}]}}})");
  ASSERT_EQ(refused.kind, Judgement::Kind::kRefused);
  EXPECT_EQ(refused.message.find("hunter2"), std::string::npos) << refused.message;
  for (const policy::Verdict& verdict : refused.verdicts) EXPECT_EQ(verdict.path.find("hunter2"), std::string::npos);
}

// What a hook changed, too: the gateway answers with it.
TEST_F(JudgeTest, SecretsAreMaskedInThePatchOfAHook) {
  policy::PolicySet policies;
  ASSERT_TRUE(policies
                  .Load("apiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicy\nmetadata: {name: hook}\nspec:\n"
                        "  match: {plugin: {name: p}, rpc: [workflow.preOperate], namespaces: [\"*\"], templates: "
                        "[\"*\"]}\n  allow:\n    - {id: l, path: \"workflow.metadata.labels[team]\"}\n",
                        "hook.yaml")
                  .ok());
  const Value sent = Value::Object();
  policy::Call call;
  call.subject = {"p", "workflow.preOperate", "ns", "wf", ""};
  call.sent = &sent;
  const Judgement judgement =
      agent::Judge(R"({"workflow":{"metadata":{"labels":{"team":"hunter2hunter2"}}}})", call, policies, *redactor_);
  ASSERT_EQ(judgement.kind, Judgement::Kind::kApplied) << judgement.message;
  EXPECT_NE(judgement.patch.Find("workflow"), nullptr);
  EXPECT_EQ(ToJson(judgement.patch).find("hunter2"), std::string::npos);
  EXPECT_EQ(ToJson(judgement.effective).find("hunter2"), std::string::npos);
}

TEST_F(JudgeTest, EarlierFieldsStayInTheEffectiveState) {
  const Judgement first = Judge(R"({"node":{"phase":"Running","message":"started"},"requeue":"2m"})");
  ASSERT_EQ(first.kind, Judgement::Kind::kApplied) << first.message;
  ASSERT_TRUE(first.requeue.has_value());
  EXPECT_EQ(*first.requeue, std::chrono::minutes(2));
  const Judgement second = Judge(R"({"node":{"phase":"Succeeded"}})", first.effective);
  ASSERT_EQ(second.kind, Judgement::Kind::kApplied) << second.message;
  EXPECT_EQ(ToJson(second.effective), R"({"message":"started","phase":"Succeeded"})");
  EXPECT_EQ(second.allowed, 1U) << "only what changed is judged again";
}

}  // namespace
}  // namespace bulkhead::agent

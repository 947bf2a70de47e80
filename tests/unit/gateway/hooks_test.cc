#include <gtest/gtest.h>

#include <functional>

#include "runner/base/json.h"
#include "runner/gateway/outcome.h"

namespace bulkhead::gateway {
namespace {

using agent::Judgement;

Value Parsed(std::string_view text) {
  JsonParse parsed = ParseJson(text);
  EXPECT_TRUE(parsed.ok) << text;
  return std::move(parsed.value);
}

class FakePlugin : public Plugin {
 public:
  explicit FakePlugin(std::string plugin_name) : name_(std::move(plugin_name)) {}
  const std::string& name() const override { return name_; }
  std::string_view tier() const override { return "strict"; }
  bool Serves(std::string_view /*method*/) const override { return serves; }
  std::optional<bool> Handles(const std::vector<std::string>& /*keys*/) const override { return std::nullopt; }
  agent::HostHealth Health() const override { return {true, ""}; }
  std::optional<agent::HostCall> Call(std::string_view /*method*/, std::string_view body, SteadyTime /*deadline*/,
                                      rpc::Retry retry) override {
    asked.emplace_back(body);
    retries = retry;
    return answer;
  }

  // A reply with this body.
  FakePlugin& Replies(const std::string& body) {
    answer.emplace();
    answer->result.outcome = rpc::Outcome::kReply;
    answer->result.body = body;
    return *this;
  }
  FakePlugin& Fails(rpc::Outcome outcome, const std::string& reason) {
    answer.emplace();
    answer->result.outcome = outcome;
    answer->result.reason = reason;
    return *this;
  }

  bool serves = true;
  std::optional<agent::HostCall> answer;
  std::vector<std::string> asked;
  rpc::Retry retries = rpc::Retry::kAsOptions;

 private:
  const std::string name_;
};

// Takes a reply for the patch that it is; each member of a mapping below the first is a leaf. Refuses what holds
// "evil".
class FakeDecider : public Decider {
 public:
  Judgement Decide(const Question& question, std::string_view reply) override {
    sent.push_back(question.sent == nullptr ? "" : ToJson(*question.sent));
    requeues.push_back(question.requeues);
    Judgement judgement;
    const Value parsed = Parsed(reply);
    if (!parsed.is_object() || parsed.members.empty()) {
      judgement.kind = Judgement::Kind::kNotMine;
      return judgement;
    }
    judgement.kind = Judgement::Kind::kApplied;
    for (const Member& member : parsed.members) {
      for (const Member& leaf : member.value.members) {
        policy::Verdict& verdict = judgement.verdicts.emplace_back();
        verdict.path = member.key + "." + leaf.key;
        verdict.allowed = true;
        ++judgement.allowed;
      }
    }
    if (reply.find("evil") != std::string_view::npos) {
      judgement.kind = Judgement::Kind::kRefused;
      judgement.layer = agent::Layer::kPolicy;
      judgement.message = "reply refused by policy: evil";
      judgement.on_deny = on_deny;
      return judgement;
    }
    if (const Value* const node = parsed.Find("node")) judgement.effective = *node;
    if (const Value* const requeue = parsed.Find("requeue")) {
      judgement.requeue = std::chrono::seconds(requeue->text == "1s" ? 1 : 0);
    }
    judgement.patch = parsed;
    return judgement;
  }
  std::vector<std::string> sent;
  std::vector<uint32_t> requeues;
  policy::OnDeny on_deny = policy::OnDeny::kFailNode;
};

class GatewayCalls : public testing::Test {
 protected:
  void SetUp() override {
    auto redactor = redact::Redactor::Create({});
    ASSERT_TRUE(redactor.ok());
    redactor_ = *redactor;
    services_.plugins = {&a_, &b_, &c_};
    services_.decider = &decider_;
    services_.redactor = redactor_.get();
    services_.metrics = &metrics_;
    services_.memory = &memory_;
  }

  static RpcCall Call(Method method) {
    static constexpr std::string_view kWorkflow = R"("workflow":{"metadata":{"name":"w","labels":{"x":"1"}}})";
    static constexpr std::string_view kTemplate = R"(,"template":{"name":"t","plugin":{"p":{}}})";
    std::string body = "{" + std::string(kWorkflow) + std::string(kTemplate);
    if (method == Method::kWorkflowPreOperate) body = "{" + std::string(kWorkflow);
    if (method == Method::kWorkflowPostOperate) body = R"({"old":{},"new":{"metadata":{"name":"w"}})";
    if (method == Method::kNodePreExecute) body += R"(,"node":{"id":"n"})";
    if (method == Method::kNodePostExecute) body += R"(,"old":{},"new":{"id":"n"})";
    auto call = ReadRpcCall(method, body + "}");
    EXPECT_TRUE(call.ok());
    return std::move(*call);
  }
  Outcome Hook(Method method) { return RunHook(Call(method), "token", Soon(), services_); }
  Outcome Task(const std::string& key = "k") {
    return Execute(Call(Method::kTemplateExecute), key, "token", Soon(), services_);
  }
  static SteadyTime Soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(5); }
  static std::string Field(const audit::Record& record, std::string_view key) {
    const Value* const value = record.fields.Find(key);
    return value == nullptr ? "" : value->is_bool() ? (value->boolean ? "true" : "false") : value->text;
  }

  FakePlugin a_{"a"}, b_{"b"}, c_{"c"};
  FakeDecider decider_;
  Metrics metrics_;
  StateMemory memory_{{}};
  std::shared_ptr<const redact::Redactor> redactor_;
  Services services_;
};

TEST_F(GatewayCalls, EachPluginSeesWhatThoseBeforeItMadeOfTheWorkflow) {
  a_.Replies(R"({"workflow":{"metadata":{"labels":{"team":"red"}}}})");
  b_.Replies("{}");
  c_.Replies(R"({"workflow":{"spec":{"priority":1}}})");
  const Outcome outcome = Hook(Method::kWorkflowPreOperate);
  EXPECT_EQ(outcome.response.status, 200);
  EXPECT_EQ(outcome.response.body, R"({"workflow":{"metadata":{"labels":{"team":"red"}},"spec":{"priority":1}}})");
  EXPECT_EQ(a_.asked, std::vector<std::string>{R"({"workflow":{"metadata":{"name":"w","labels":{"x":"1"}}}})"});
  const std::string after_a = R"({"workflow":{"metadata":{"name":"w","labels":{"x":"1","team":"red"}}}})";
  EXPECT_EQ(b_.asked, std::vector<std::string>{after_a});
  EXPECT_EQ(decider_.sent[2], after_a) << "and its reply is judged against that";
  EXPECT_EQ(a_.retries, rpc::Retry::kNever);
  ASSERT_EQ(outcome.records.size(), 3U);
  EXPECT_EQ(Field(outcome.records[0], "method"), "workflow.preOperate");
  EXPECT_EQ(Field(outcome.records[0], "caller"), "token");
  EXPECT_EQ(Field(outcome.records[0], "applied"), "true");
}

TEST_F(GatewayCalls, TwoPluginsMayNotChangeOneLeafAndNothingOfTheHookIsApplied) {
  a_.Replies(R"({"parameters":{"one":"1"}})");
  b_.Replies(R"({"parameters":{"two":"2","one":"other"}})");
  c_.Replies(R"({"parameters":{"three":"3"}})");
  const Outcome outcome = Hook(Method::kParametersAdd);
  EXPECT_EQ(outcome.response.status, 422);
  for (const char* const part : {"parameters.one", "\"a\"", "\"b\"", "gateway.owner"})
    EXPECT_NE(outcome.response.body.find(part), std::string::npos) << outcome.response.body;
  EXPECT_TRUE(c_.asked.empty());
  ASSERT_EQ(outcome.records.size(), 2U);
  EXPECT_EQ(Field(outcome.records[0], "applied"), "false");
  EXPECT_EQ(Field(outcome.records[1], "applied"), "false");
  EXPECT_EQ(Field(outcome.records[1], "stoppedBy"), "policy");
}

TEST_F(GatewayCalls, PluginsThatChangeDifferentLeavesAreMerged) {
  a_.Replies(R"({"parameters":{"one":"1"}})");
  b_.Replies("null");
  c_.Replies(R"({"parameters":{"two":"2"}})");
  EXPECT_EQ(Hook(Method::kParametersAdd).response.body, R"({"parameters":{"one":"1","two":"2"}})");
}

TEST_F(GatewayCalls, ARefusedReplyRefusesTheHook) {
  a_.Replies(R"({"workflow":{"metadata":{"labels":{"team":"red"}}}})");
  b_.Replies(R"({"workflow":{"evil":1}})");
  const Outcome outcome = Hook(Method::kWorkflowPreOperate);
  EXPECT_EQ(outcome.response.status, 422);
  EXPECT_EQ(outcome.response.body, "workflow.preOperate: plugin \"b\": reply refused by policy: evil");
  EXPECT_EQ(Field(outcome.records[0], "applied"), "false");
}

TEST_F(GatewayCalls, ARefusedReplyIsLeftOutWhereThePolicySaysSo) {
  decider_.on_deny = policy::OnDeny::kDropReply;
  a_.Replies(R"({"parameters":{"evil":"1"}})");
  b_.Replies(R"({"parameters":{"good":"1"}})");
  c_.Replies("{}");
  const Outcome outcome = Hook(Method::kParametersAdd);
  EXPECT_EQ(outcome.response.status, 200);
  EXPECT_EQ(outcome.response.body, R"({"parameters":{"good":"1"}})");
  EXPECT_EQ(Field(outcome.records[0], "applied"), "false");
  EXPECT_EQ(Field(outcome.records[0], "stoppedBy"), "policy");
  EXPECT_EQ(Field(outcome.records[1], "applied"), "true");
}

TEST_F(GatewayCalls, APluginThatFailsFailsTheHook) {
  struct Case {
    rpc::Outcome outcome;
    int status;
  };
  b_.Replies("{}");
  c_.Replies("{}");
  for (const Case& one : {Case{rpc::Outcome::kTransient, 502}, Case{rpc::Outcome::kFatal, 502}}) {
    a_.Fails(one.outcome, "broken");
    const Outcome outcome = Hook(Method::kNodePostExecute);
    EXPECT_EQ(outcome.response.status, one.status);
    EXPECT_NE(outcome.response.body.find("broken"), std::string::npos);
  }
  a_.Fails(rpc::Outcome::kTransient, "no complete reply");
  EXPECT_EQ(RunHook(Call(Method::kNodePostExecute), "token", SteadyTime(), services_).response.status, 504);
  a_.Fails(rpc::Outcome::kNotSupported, "404");
  EXPECT_EQ(Hook(Method::kNodePostExecute).response.body, "{}") << "404 is not a failure";
  a_.answer.reset();
  EXPECT_EQ(Hook(Method::kNodePostExecute).response.status, 503) << "too many calls at once";
}

TEST_F(GatewayCalls, ANodeWithAnEndIsShownToNobodyElse) {
  a_.Replies(R"({"node":{"phase":"Running"}})");
  b_.Replies(R"({"node":{"message":"done","phase":"Skipped"}})");
  Outcome outcome = Hook(Method::kNodePreExecute);
  EXPECT_EQ(outcome.response.status, 422) << "a and b fight over the phase";
  a_.Replies("{}");
  outcome = Hook(Method::kNodePreExecute);
  EXPECT_EQ(outcome.response.body, R"({"node":{"message":"done","phase":"Skipped"}})");
  EXPECT_TRUE(c_.asked.empty());
}

TEST_F(GatewayCalls, WhoDoesNotServeAHookIsNotAsked) {
  a_.serves = false;
  b_.Replies("{}");
  c_.serves = false;
  EXPECT_EQ(Hook(Method::kWorkflowPostOperate).response.body, "{}");
  EXPECT_TRUE(a_.asked.empty());
  EXPECT_EQ(b_.asked.size(), 1U);
}

TEST_F(GatewayCalls, ATaskIsTheFirstPluginsThatHasAResult) {
  a_.Replies("null");
  b_.Replies(R"({"node":{"phase":"Succeeded"}})");
  EXPECT_EQ(Task().response.body, R"({"node":{"phase":"Succeeded"}})");
  EXPECT_TRUE(c_.asked.empty());
  EXPECT_EQ(b_.retries, rpc::Retry::kAsOptions);
  b_.Replies("{}");
  c_.Fails(rpc::Outcome::kNotSupported, "404");
  EXPECT_EQ(Task().response.body, "{}");
}

TEST_F(GatewayCalls, WhatStopsATaskIsItsResult) {
  struct Case {
    std::function<void(FakePlugin&)> set;
    std::string phase, message;
  };
  for (const Case& one : std::vector<Case>{
           {[](FakePlugin& p) { p.Replies(R"({"node":{"evil":1}})"); }, "Error", "reply refused by policy: evil"},
           {[](FakePlugin& p) { p.Fails(rpc::Outcome::kFatal, "500 boom"); }, "Failed", "500 boom"},
           {[](FakePlugin& p) {
              p.Fails(rpc::Outcome::kFatal, "");
              p.answer->sandbox_reason = "plugin ended";
            },
            "Failed", "plugin ended"}}) {
    one.set(a_);
    EXPECT_EQ(Task().response.body, R"({"node":{"phase":")" + one.phase + R"(","message":")" + one.message + R"("}})");
  }
  a_.answer.reset();
  EXPECT_EQ(Task().response.status, 503);
}

TEST_F(GatewayCalls, ARequeuedTasksStateGoesToItsPluginAlone) {
  a_.Replies(R"({"node":{"phase":"Running","message":"m"},"requeue":"0s"})");
  EXPECT_EQ(Task().response.body, R"({"node":{"phase":"Running","message":"m"},"requeue":"0s"})");
  EXPECT_EQ(memory_.size(), 1U);
  Task("another request");
  EXPECT_EQ(decider_.sent.back(), "{}");
  Task();
  EXPECT_EQ(decider_.sent.back(), R"({"node":{"phase":"Running","message":"m"}})");
  EXPECT_EQ(decider_.requeues.back(), 1U);
  Task();
  EXPECT_EQ(decider_.requeues.back(), 2U);
  // The plugin says that it is not its own any more: the next has no part in its state.
  a_.Replies("{}");
  b_.Replies(R"({"node":{"phase":"Succeeded"}})");
  Task();
  EXPECT_EQ(decider_.sent.back(), "{}");
  EXPECT_EQ(decider_.requeues.back(), 0U);
}

TEST_F(GatewayCalls, AStateThatCannotBeKeptEndsTheTask) {
  StateMemory none({.states = 0});
  services_.memory = &none;
  a_.Replies(R"({"node":{"phase":"Running"},"requeue":"1s"})");
  const Outcome outcome = Task();
  EXPECT_NE(outcome.response.body.find(R"("phase":"Error")"), std::string::npos) << outcome.response.body;
  EXPECT_EQ(outcome.response.body.find("requeue"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::gateway

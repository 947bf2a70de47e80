#include <gtest/gtest.h>

#include <thread>

#include "policy/policy.h"
#include "runner/base/json.h"
#include "runner/base/merge_patch.h"
#include "runner/gateway/executions.h"
#include "runner/gateway/lane.h"
#include "runner/gateway/listen.h"
#include "runner/gateway/owners.h"
#include "runner/gateway/rpc_call.h"
#include "runner/gateway/state_memory.h"
#include "runner/gateway/worker_pool.h"

namespace bulkhead::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Value Json(std::string_view text) {
  JsonParse parsed = ParseJson(text);
  EXPECT_TRUE(parsed.ok) << text;
  return std::move(parsed.value);
}

// --- merge patches --------------------------------------------------------------------------------

TEST(MergePatch, DoesWhatTheRfcsExamplesDo) {
  struct Case {
    std::string target, patch, result;
  };
  // RFC 7386, appendix A.
  const std::vector<Case> cases = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({"a":"foo"})", "null", "null"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {"[1,2]", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {"{}", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const Case& one : cases) {
    Value target = Json(one.target);
    ApplyMergePatch(target, Json(one.patch));
    EXPECT_EQ(ToJson(target), one.result);
  }
}

TEST(MergePatch, MadeOfTwoStatesLeadsFromOneToTheOther) {
  struct Case {
    std::string before, after, patch;
  };
  for (const Case& one :
       std::vector<Case>{{R"({"a":1})", R"({"a":1})", "{}"},
                         {R"({"a":1})", R"({"a":1.0})", R"({"a":1.0})"},
                         {R"({"a":{"x":1,"y":2}})", R"({"a":{"y":2,"x":3}})", R"({"a":{"x":3}})"},
                         {R"({"a":{"x":1,"y":2}})", R"({"a":{"z":0}})", R"({"a":{"x":null,"y":null,"z":0}})"},
                         {R"({"a":{"x":1}})", R"({"a":"b"})", R"({"a":"b"})"},
                         {R"({"l":[1,{"b":2}]})", R"({"l":[1,{"b":3}]})", R"({"l":[1,{"b":3}]})"},
                         {R"({"a":{"x":1},"b":2})", R"({"b":2})", R"({"a":null})"},
                         {"{}", R"({"a":{"b":{}}})", R"({"a":{"b":{}}})"}}) {
    Value state = Json(one.before);
    const Value patch = MakeMergePatch(state, Json(one.after));
    EXPECT_EQ(ToJson(patch), one.patch);
    ApplyMergePatch(state, patch);
    EXPECT_EQ(ToJson(MakeMergePatch(state, Json(one.after))), "{}") << one.after;
  }
}

// --- owners ---------------------------------------------------------------------------------------

std::vector<policy::Verdict> Changes(const std::vector<std::string>& paths) {
  std::vector<policy::Verdict> verdicts;
  for (const std::string& path : paths) {
    policy::Verdict& verdict = verdicts.emplace_back();
    verdict.path = path;
    verdict.allowed = true;
  }
  return verdicts;
}

TEST(Owners, ALeafBelongsToTheFirstWhoChangedIt) {
  Owners owners;
  EXPECT_TRUE(owners.Take("a", Changes({"x", "y"})).empty());
  EXPECT_TRUE(owners.Take("a", Changes({"x"})).empty());
  const auto conflicts = owners.Take("b", Changes({"z", "y"}));
  ASSERT_EQ(conflicts.size(), 1U);
  EXPECT_EQ(conflicts[0].path, "y");
  EXPECT_EQ(conflicts[0].owner, "a");
  // Nothing of the refused changes was taken.
  EXPECT_TRUE(owners.Take("c", Changes({"z"})).empty());
}

// --- states ---------------------------------------------------------------------------------------

KeptState State(const std::string& plugin, SteadyTime due) {
  KeptState state;
  state.plugin = plugin;
  state.node = Json(R"({"phase":"Running"})");
  state.due = due;
  return state;
}

TEST(StateMemory, GivesTheStateThatWasDueFirstAndEachOnce) {
  StateMemory memory({});
  const SteadyTime now = SteadyTime() + seconds(1000);
  EXPECT_TRUE(memory.Keep("k", State("later", now + seconds(2)), now));
  EXPECT_TRUE(memory.Keep("k", State("sooner", now + seconds(1)), now));
  EXPECT_TRUE(memory.Keep("other", State("other", now), now));
  EXPECT_FALSE(memory.Take("k", now).has_value()) << "none is due";
  EXPECT_EQ(memory.Take("k", now + seconds(5))->plugin, "sooner");
  EXPECT_EQ(memory.Take("k", now + seconds(5))->plugin, "later");
  EXPECT_FALSE(memory.Take("k", now + seconds(5)).has_value());
  EXPECT_EQ(memory.size(), 1U);
}

TEST(StateMemory, RefusesRatherThanForgets) {
  StateMemory memory({.states = 2, .bytes = 1U << 20U});
  const SteadyTime now = SteadyTime() + seconds(1000);
  EXPECT_TRUE(memory.Keep("a", State("p", now), now));
  EXPECT_TRUE(memory.Keep("b", State("p", now), now));
  EXPECT_FALSE(memory.Keep("c", State("p", now), now));
  EXPECT_TRUE(memory.Take("a", now).has_value());
  EXPECT_TRUE(memory.Keep("c", State("p", now), now));
  // Whoever was to come for them does not any more.
  EXPECT_TRUE(memory.Keep("d", State("p", now), now + std::chrono::hours(2)));
  EXPECT_EQ(memory.size(), 1U);

  StateMemory small({.states = 100, .bytes = 1000});
  KeptState big = State("p", now);
  big.node.Set("message", Value::String(std::string(2000, 'x')));
  EXPECT_FALSE(small.Keep("k", std::move(big), now));
  EXPECT_EQ(small.size(), 0U);
}

// --- executions -----------------------------------------------------------------------------------

class FakeReply : public HttpReply {
 public:
  void Send(HttpResponse response) override { sent.push_back(response.body); }
  bool Abandoned() const override { return abandoned; }
  std::vector<std::string> sent;
  bool abandoned = false;
};

HttpResponse Body(const std::string& body) {
  HttpResponse response;
  response.body = body;
  return response;
}

class ExecutionsTest : public testing::Test {
 protected:
  Executions executions_{{.keep = seconds(60), .kept = 2, .kept_bytes = 100}};
  const SteadyTime now_ = SteadyTime() + seconds(1000);
  const std::shared_ptr<FakeReply> first_ = std::make_shared<FakeReply>();
  const std::shared_ptr<FakeReply> second_ = std::make_shared<FakeReply>();
};

TEST_F(ExecutionsTest, ARepeatedCallJoinsWhatNobodyWaitsFor) {
  const auto execution = executions_.Enter("k", first_, now_);
  ASSERT_NE(execution, nullptr);
  first_->abandoned = true;
  EXPECT_EQ(executions_.Enter("k", second_, now_), nullptr);
  // Somebody waits again: a third is another node.
  EXPECT_NE(executions_.Enter("k", std::make_shared<FakeReply>(), now_), nullptr);
  executions_.Finish(execution, Body("done"), now_);
  EXPECT_EQ(second_->sent, std::vector<std::string>{"done"});
}

TEST_F(ExecutionsTest, TheSameCallWhileSomebodyWaitsIsAnotherNodes) {
  const auto one = executions_.Enter("k", first_, now_);
  const auto two = executions_.Enter("k", second_, now_);
  ASSERT_NE(one, nullptr);
  ASSERT_NE(two, nullptr);
  executions_.Finish(two, Body("second"), now_);
  executions_.Finish(one, Body("first"), now_);
  EXPECT_EQ(first_->sent, std::vector<std::string>{"first"});
  EXPECT_EQ(second_->sent, std::vector<std::string>{"second"});
  EXPECT_NE(executions_.Enter("k", std::make_shared<FakeReply>(), now_), nullptr) << "both were delivered";
}

TEST_F(ExecutionsTest, AnAnswerThatNobodyTookIsKeptForAWhileAndGivenOnce) {
  first_->abandoned = true;
  executions_.Finish(executions_.Enter("k", first_, now_), Body("kept"), now_);
  EXPECT_EQ(executions_.Enter("k", second_, now_ + seconds(59)), nullptr);
  EXPECT_EQ(second_->sent, std::vector<std::string>{"kept"});
  EXPECT_NE(executions_.Enter("k", second_, now_ + seconds(59)), nullptr);

  executions_.Finish(executions_.Enter("late", first_, now_), Body("late"), now_);
  EXPECT_NE(executions_.Enter("late", second_, now_ + seconds(61)), nullptr);
}

TEST_F(ExecutionsTest, WhatIsKeptIsBounded) {
  first_->abandoned = true;
  for (const char* const key : {"a", "b", "c"})
    executions_.Finish(executions_.Enter(key, first_, now_), Body("x"), now_);
  EXPECT_NE(executions_.Enter("a", second_, now_), nullptr) << "the oldest went";
  EXPECT_EQ(executions_.Enter("c", second_, now_), nullptr);
  executions_.Finish(executions_.Enter("big", first_, now_), Body(std::string(101, 'x')), now_);
  EXPECT_NE(executions_.Enter("big", second_, now_), nullptr);
  // An answer that says "come again" is not what the call came to.
  executions_.Finish(executions_.Enter("busy", first_, now_), ErrorResponse(503, "busy"), now_);
  EXPECT_NE(executions_.Enter("busy", second_, now_), nullptr);
}

// --- lanes and threads ----------------------------------------------------------------------------

TEST(Lane, LetsSomeInSomeWaitAndNoMore) {
  Lane lane(1, 1);
  const auto now = [] { return std::chrono::steady_clock::now(); };
  ASSERT_TRUE(lane.Enter(now()));
  EXPECT_FALSE(lane.Enter(now())) << "its turn does not come in time";
  std::thread waiting([&] {
    EXPECT_TRUE(lane.Enter(now() + seconds(20)));
    lane.Leave();
  });
  lane.Leave();
  waiting.join();
  EXPECT_TRUE(lane.Enter(now()));
}

TEST(WorkerPool, RefusesWhatItHasNoThreadFor) {
  std::mutex gate;
  gate.lock();
  {
    WorkerPool pool(2);
    EXPECT_TRUE(pool.TryRun([&] { const std::lock_guard lock(gate); }));
    EXPECT_TRUE(pool.TryRun([&] { const std::lock_guard lock(gate); }));
    EXPECT_FALSE(pool.TryRun([] {}));
    EXPECT_EQ(pool.busy(), 2U);
    gate.unlock();
    while (pool.busy() > 0) std::this_thread::yield();
    std::atomic<int> ran{0};
    for (int i = 0; i < 100; ++i) {
      while (!pool.TryRun([&] { ++ran; })) std::this_thread::yield();
    }
    while (pool.busy() > 0) std::this_thread::yield();
    EXPECT_EQ(ran.load(), 100);
  }
}

// --- addresses and requests -----------------------------------------------------------------------

TEST(ListenAddress, IsAnAddressAndAPortAndNothingElse) {
  struct Case {
    std::string text, shown;
    bool loopback;
  };
  for (const Case& one : std::vector<Case>{{"127.0.0.1:4355", "127.0.0.1:4355", true},
                                           {"127.8.9.1:0", "127.8.9.1:0", true},
                                           {"localhost:1", "127.0.0.1:1", true},
                                           {"[::1]:65535", "[::1]:65535", true},
                                           {":80", "0.0.0.0:80", false},
                                           {"10.0.0.1:80", "10.0.0.1:80", false},
                                           {"[::]:80", "[::]:80", false},
                                           {"[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", false}}) {
    const auto address = ParseListenAddress(one.text);
    ASSERT_TRUE(address.ok()) << one.text;
    EXPECT_EQ(address->ToString(), one.shown);
    EXPECT_EQ(address->loopback, one.loopback) << one.text;
  }
  for (const char* const bad :
       {"", "4355", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1x", "127.1:80",
        "0x7f.1:80", "example.org:80", "::1:80", "[::1:80", "[]:80", "http://x:80"}) {
    const auto address = ParseListenAddress(bad);
    ASSERT_FALSE(address.ok()) << bad;
    EXPECT_EQ(address.error().code(), Code::kInvalidInput);
  }
}

TEST(RpcCall, ReadsWhatEachMethodIsAbout) {
  const std::string workflow = R"({"metadata":{"name":"w","namespace":"ns","uid":"u","labels":{"App":"a","app":"b"}}})";
  const std::string wanted = R"("template":{"name":"t","plugin":{"slack":{}}})";
  struct Case {
    Method method;
    std::string body;
    std::string template_name, node;
  };
  for (const Case& one : std::vector<Case>{
           {Method::kTemplateExecute, R"({"workflow":)" + workflow + "," + wanted + "}", "t", ""},
           {Method::kWorkflowPreOperate, R"({"workflow":)" + workflow + "}", "", ""},
           {Method::kWorkflowPostOperate, R"({"old":{},"new":)" + workflow + "}", "", ""},
           {Method::kNodePreExecute, R"({"workflow":)" + workflow + "," + wanted + R"(,"node":{"id":"n"}})", "t", "n"},
           {Method::kNodePostExecute, R"({"workflow":)" + workflow + "," + wanted + R"(,"old":{},"new":{"id":"n"}})",
            "t", "n"},
           {Method::kParametersAdd, R"({"workflow":)" + workflow + "," + wanted + "}", "t", ""}}) {
    const auto call = ReadRpcCall(one.method, one.body);
    ASSERT_TRUE(call.ok()) << one.body << call.error().message();
    EXPECT_EQ(call->workflow.name, "w");
    EXPECT_EQ(call->workflow.uid, "u");
    EXPECT_EQ(call->template_name, one.template_name);
    EXPECT_EQ(call->node, one.node);
    EXPECT_EQ(call->body, one.body);
    ASSERT_NE(call->WorkflowLabels(), nullptr);
    EXPECT_EQ(call->WorkflowLabels()->members.size(), 2U) << "labels may differ by case only";
    const bool has_template = !one.template_name.empty();
    EXPECT_EQ(call->plugin_keys, has_template ? std::vector<std::string>{"slack"} : std::vector<std::string>{});
    EXPECT_EQ(MethodByName(MethodName(one.method)), one.method);
  }
  EXPECT_FALSE(ReadRpcCall(Method::kNodePreExecute, R"({"workflow":)" + workflow + "," + wanted + "}").ok());
  EXPECT_FALSE(ReadRpcCall(Method::kWorkflowPostOperate, R"({"new":)" + workflow + "}").ok());
  EXPECT_FALSE(ReadRpcCall(Method::kTemplateExecute, R"({"workflow":{"metadata":{"name":""}},)" + wanted + "}").ok());
  EXPECT_FALSE(MethodByName("template.Execute").has_value());
}

}  // namespace
}  // namespace bulkhead::gateway

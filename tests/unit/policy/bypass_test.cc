// tests/policy/bypass.jsonl: replies that get past a matcher as one would write it in an afternoon, and what refuses
// each here. A line is {name, policy, reply, by} and, where it matters, rpc, subject, sent, template, requeues, path.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "policy/policy.h"
#include "runner/base/json.h"
#include "runner/base/result.h"

namespace bulkhead::policy {
namespace {

using Json = nlohmann::json;

// The obvious way: parse (the last of two keys wins, what follows the document is nobody's business), look whether
// the members of the node are ones that a policy allows, and hand the plugin's bytes on.
bool NaiveMatcherAllows(const std::string& reply) {
  static const std::set<std::string> kAllowed = {"phase", "message", "outputs", "progress"};
  std::istringstream stream(reply);
  Json document;
  try {
    stream >> document;
  } catch (const Json::exception&) {
    return false;
  }
  if (!document.is_object() || !document.contains("node") || !document["node"].is_object()) return true;
  for (const auto& [key, value] : document["node"].items()) {
    if (!kAllowed.contains(key)) return false;
  }
  return true;
}

Value Read(const Json& json) {
  JsonLimits limits;
  limits.fold_keys = false;
  return ParseJson(json.dump(), limits).value;
}

class Bypass : public ::testing::Test {
 protected:
  const PolicySet& Policies(const std::string& name) {
    auto [place, added] = sets_.try_emplace(name);
    if (added) {
      auto loaded = LoadPolicies({std::string(BULKHEAD_TESTS) + "/policy/policies/" + name + ".yaml"});
      EXPECT_TRUE(loaded.ok()) << loaded.error().message();
      if (loaded.ok()) place->second = std::move(*loaded);
    }
    return place->second;
  }

  // The refusals, one a line.
  std::string Judge(const Json& row, Decision& decision) {
    const Json subject = row.value("subject", Json::object());
    const std::string plugin = subject.value("plugin", "p");
    const std::string rpc = row.value("rpc", "template.execute");
    const std::string name_space = subject.value("namespace", "ci");
    const std::string template_name = subject.value("template", "notify-done");
    const Value sent = row.contains("sent") ? Read(row["sent"]) : Value::Object();
    const Value template_spec = row.contains("template") ? Read(row["template"]) : Value::Object();
    Call call;
    call.subject = {plugin, rpc, name_space, "wf", template_name};
    call.sent = &sent;
    call.template_spec = &template_spec;
    call.now = 1'800'000'000;
    call.requeues = row.value("requeues", 0U);
    const std::string reply = row["reply"];
    decision = evaluator_.Decide(Policies(row["policy"]), call, reply);
    std::string refusals;
    for (const Verdict& verdict : decision.verdicts) {
      if (!verdict.allowed) refusals += verdict.by.rule + " " + verdict.path + ": " + verdict.reason + "\n";
    }
    return refusals;
  }

  std::map<std::string, PolicySet> sets_;
  Evaluator evaluator_;
};

TEST_F(Bypass, WhatGetsPastANaiveMatcherIsRefusedHereByWhatShould) {
  std::ifstream file(std::string(BULKHEAD_TESTS) + "/policy/bypass.jsonl");
  std::set<std::string> names;
  for (std::string line; std::getline(file, line);) {
    const Json row = Json::parse(line);
    const std::string name = row["name"];
    EXPECT_TRUE(names.insert(name).second) << "two cases are named " << name;
    EXPECT_TRUE(NaiveMatcherAllows(row["reply"])) << name << ": a naive matcher refuses it too, so it shows nothing";
    Decision decision;
    const std::string refusals = Judge(row, decision);
    EXPECT_EQ(decision.kind, Decision::Kind::kRefused) << name;
    EXPECT_TRUE(decision.canonical.empty()) << name;
    const std::string by = row["by"];
    const bool named = std::any_of(decision.verdicts.begin(), decision.verdicts.end(), [&](const Verdict& verdict) {
      return !verdict.allowed && verdict.by.rule == by && (!row.contains("path") || verdict.path == row["path"]);
    });
    EXPECT_TRUE(named) << name << ": expected " << by << ", found\n" << refusals;
  }
  EXPECT_GE(names.size(), 150U);
}

// The corpus shows something only as long as its policies allow an honest reply.
TEST_F(Bypass, TheSamePoliciesLetHonestRepliesThrough) {
  const char* const rows[] = {
      R"({"policy":"open","reply":"{\"node\":{\"phase\":\"Succeeded\",\"message\":\"two\\nlines\",\"progress\":\"1/2\",\"outputs\":{\"result\":\"ok\",\"exitCode\":\"0\",\"parameters\":[{\"name\":\"x\",\"value\":1}],\"artifacts\":[{\"name\":\"a\"}]}}}"})",
      R"({"policy":"open","reply":"{\"node\":{\"phase\":\"Running\"},\"requeue\":\"1m\"}","requeues":9999})",
      R"({"policy":"open","rpc":"node.preExecute","reply":"{\"node\":{\"phase\":\"Running\"}}","sent":{"node":{"phase":"Pending"}}})",
      R"({"policy":"hooks","rpc":"workflow.preOperate","reply":"{\"workflow\":{\"metadata\":{\"labels\":{\"cost.example.com/centre\":\"cc-1\",\"old\":null}}}}","sent":{"workflow":{"metadata":{"name":"wf","labels":{"old":"x"}}}}})",
      R"({"policy":"hooks","rpc":"parameters.add","reply":"{\"parameters\":{\"cost.rate\":\"1.20\"}}"})",
      R"({"policy":"strict","reply":"{\"node\":{\"phase\":\"Succeeded\",\"message\":\"done\",\"outputs\":{\"parameters\":[{\"name\":\"pattern\",\"value\":\"abc\"},{\"name\":\"prefix\",\"value\":\"models/wf/x\"},{\"name\":\"url\",\"value\":\"https://a.cdn.example.com/jobs/1?x=y\"}]}}}"})",
      R"({"policy":"strict","reply":"{\"node\":{\"phase\":\"Running\",\"progress\":\"1/2\",\"outputs\":{\"parameters\":[{\"name\":\"const\",\"value\":\"yes\"},{\"name\":\"integer\",\"value\":100},{\"name\":\"boolean\",\"value\":true}]}},\"requeue\":\"5s\"}"})",
      R"({"policy":"strict","reply":"{\"node\":{\"phase\":\"Running\",\"outputs\":{\"parameters\":[{\"name\":\"declared\",\"value\":\"1\"},{\"name\":\"fixed\",\"value\":\"a\"},{\"name\":\"added\",\"value\":\"b\"}]}}}","template":{"outputs":{"parameters":[{"name":"declared"}]}},"sent":{"node":{"outputs":{"parameters":[{"name":"fixed","value":"a"}]}}}})",
  };
  for (const char* const row : rows) {
    Decision decision;
    const std::string refusals = Judge(Json::parse(row), decision);
    EXPECT_EQ(decision.kind, Decision::Kind::kAllowed) << row << "\n" << refusals;
  }
}

}  // namespace
}  // namespace bulkhead::policy

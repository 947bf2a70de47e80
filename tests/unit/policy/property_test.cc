// Properties that hold for every policy and every reply, over random ones. The seed is printed with a failure.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "policy/changes.h"
#include "policy/policy.h"
#include "runner/base/json.h"

namespace bulkhead::policy {
namespace {

constexpr int kPairs = 100'000;
constexpr int kRepliesForEachPolicy = 20;
constexpr const char* kRequired = "required";

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t Below(size_t bound) { return static_cast<size_t>(engine_() % bound); }
  bool OneIn(size_t n) { return Below(n) == 0; }
  template <typename T>
  const T& Of(const std::vector<T>& list) {
    return list[Below(list.size())];
  }
  std::mt19937_64& engine() { return engine_; }

 private:
  std::mt19937_64 engine_;
};

const std::vector<std::string>& Phases() {
  static const std::vector<std::string> list = {"Pending", "Running", "Succeeded", "Failed",
                                                "Error",   "Skipped", "Omitted",   "Nonsense"};
  return list;
}
const std::vector<std::string>& Texts() {
  static const std::vector<std::string> list = {"a",          "b",     "models/x", "12",    "true",
                                                "two\nlines", "{{x}}", "\x1b[",    "admin", "1724230000.1"};
  return list;
}
const std::vector<std::string>& Names() {
  static const std::vector<std::string> list = {"a", "b", "ts", "job-id", "a b", "0", "x]y"};
  return list;
}

// A random NodeResult, as a tree. Mostly sound, sometimes with what no policy may allow.
Value RandomNode(Random& random, bool sound = false) {
  Value node = Value::Object();
  if (!random.OneIn(4)) node.Set("phase", Value::String(random.Of(Phases())));
  if (random.OneIn(2)) node.Set("message", Value::String(random.Of(Texts())));
  if (random.OneIn(4)) node.Set("progress", Value::String("1/2"));
  if (!random.OneIn(3)) {
    Value outputs = Value::Object();
    if (random.OneIn(3)) outputs.Set("result", Value::String(random.Of(Texts())));
    if (random.OneIn(4)) outputs.Set("exitCode", Value::String("0"));
    if (random.OneIn(9)) outputs.Set("parameters", Value::Null());
    if (!random.OneIn(3)) {
      Value list = Value::Array();
      std::vector<std::string> names = Names();
      std::shuffle(names.begin(), names.end(), random.engine());
      for (size_t i = random.Below(4); i > 0; --i) {
        Value one = Value::Object();
        one.Set("name", Value::String(names[!sound && random.OneIn(20) ? 0 : i]));
        if (!random.OneIn(6)) one.Set("value", Value::String(random.Of(Texts())));
        if (random.OneIn(25)) one.Set("globalName", Value::String("g"));
        if (random.OneIn(25)) one.Set("default", Value::String("d"));
        list.items.push_back(std::move(one));
      }
      outputs.Set("parameters", std::move(list));
    }
    if (random.OneIn(6)) {
      Value list = Value::Array();
      Value one = Value::Object();
      one.Set("name", Value::String(random.Of(Names())));
      if (random.OneIn(2)) {
        Value s3 = Value::Object();
        if (random.OneIn(2)) s3.Set("key", Value::String("models/x"));
        one.Set("s3", std::move(s3));
      }
      list.items.push_back(std::move(one));
      outputs.Set("artifacts", std::move(list));
    }
    node.Set("outputs", std::move(outputs));
  }
  return node;
}

Value Wrapped(Value node) {
  Value document = Value::Object();
  document.Set("node", std::move(node));
  return document;
}

const std::vector<std::string>& Paths() {
  static const std::vector<std::string> list = {"node.phase",
                                                "node.message",
                                                "node.progress",
                                                "node.outputs.result",
                                                "node.outputs.exitCode",
                                                "node.outputs.parameters[*].name",
                                                "node.outputs.parameters[*].value",
                                                "node.outputs.parameters[a].value",
                                                "node.outputs.parameters[ts].name",
                                                "node.outputs.parameters[\"a b\"].value",
                                                "node.outputs.artifacts[*].name",
                                                "node.outputs.artifacts[a].s3.key"};
  return list;
}

Rule RandomRule(Random& random, size_t number, bool deny) {
  Rule rule;
  rule.id = (deny ? "d" : "a") + std::to_string(number);
  rule.path = *PathPattern::Parse(random.Of(Paths())).path;
  if (!deny) {
    rule.add = !random.OneIn(8);
    rule.change = !random.OneIn(5);
    rule.remove = random.OneIn(3);
  }
  rule.remove = rule.remove || deny;
  if (deny || random.OneIn(3)) {
    Constraint constraint;
    if (random.OneIn(2)) {
      constraint.choices = {"a", "b", "Running", "Succeeded", "admin"};
    } else {
      constraint.charset = random.OneIn(2) ? Charset::kText : Charset::kToken;
    }
    if (!deny || random.OneIn(3)) rule.value = std::move(constraint);
  }
  return rule;
}

Policy RandomPolicy(Random& random, size_t number) {
  Policy policy;
  policy.file = "r.yaml";
  policy.name = "p" + std::to_string(number);
  policy.match.plugin = random.OneIn(3) ? "*" : random.OneIn(8) ? "other" : "p";
  policy.match.rpcs = {"template.execute"};
  policy.match.namespaces = {"*"};
  policy.match.templates = {"*"};
  if (random.OneIn(6)) {
    policy.mode = Mode::kAudit;
    policy.expires = Date::Parse(random.OneIn(2) ? "2099-01-01" : "2020-01-01");
  }
  const size_t allows = 4 + random.Below(9);
  for (size_t i = 0; i < allows; ++i) policy.allow.push_back(RandomRule(random, i, false));
  for (size_t i = random.Below(2); i > 0; --i) policy.deny.push_back(RandomRule(random, i, true));
  if (random.OneIn(5)) {
    Unprotect one;
    one.set = ProtectedSet::kArtifactLocations;
    one.path = *PathPattern::Parse("node.outputs.artifacts[a].s3.key").path;
    one.expires = *Date::Parse(random.OneIn(2) ? "2099-01-01" : "2020-01-01");
    policy.unprotect.push_back(std::move(one));
  }
  if (random.OneIn(6)) {
    policy.require.push_back(RandomRule(random, 99, false));
    policy.require.back().id = kRequired;
  }
  return policy;
}

// Every leaf of a state by its path, with what it holds. Written apart from the engine's own walk.
void Flatten(const Value& value, const std::string& path, std::map<std::string, std::string>& leaves) {
  if (value.is_object()) {
    for (const Member& member : value.members) Flatten(member.value, path + "." + member.key, leaves);
  } else if (value.is_array()) {
    for (const Value& item : value.items) Flatten(item, path + KeyStep(item.Find("name")->text), leaves);
  } else if (!value.is_null()) {
    leaves[path.substr(1)] = ToJson(value);
  }
}

std::map<std::string, std::string> Leaves(const Value& state) {
  std::map<std::string, std::string> leaves;
  Flatten(state, "", leaves);
  return leaves;
}

// Whether an allow rule of the policy speaks of this path and op.
bool Covered(const Policy& policy, const std::string& path, Op op) {
  return std::any_of(policy.allow.begin(), policy.allow.end(),
                     [&](const Rule& rule) { return rule.Covers(op) && rule.path.Matches(path); });
}

class PolicyProperties : public ::testing::Test {
 protected:
  static Call TheCall(const Value& sent) {
    Call call;
    call.subject = {"p", "template.execute", "ns", "wf", "t"};
    call.sent = &sent;
    call.now = 1'800'000'000;
    return call;
  }
  static bool Enforced(const Policy& policy) {
    return policy.mode == Mode::kEnforce || policy.expires->Passed(1'800'000'000);
  }
  static PolicySet SetOf(std::vector<Policy> policies) {
    auto set = PolicySet::FromPolicies(std::move(policies));
    EXPECT_TRUE(set.ok());
    return std::move(*set);
  }

  // What the state that an allowed reply leaves differs in from what was sent, is covered by every policy.
  void ExpectCovered(const std::vector<Policy>& policies, const Value& sent, const Value& effective) {
    const auto before = Leaves(sent);
    const auto after = Leaves(effective);
    std::set<std::string> paths;
    for (const auto& [path, value] : before) paths.insert(path);
    for (const auto& [path, value] : after) paths.insert(path);
    size_t matching = 0;
    for (const Policy& policy : policies) matching += policy.match.plugin == "other" ? 0U : 1U;
    for (const std::string& path : paths) {
      const auto old_leaf = before.find(path);
      const auto new_leaf = after.find(path);
      if (old_leaf != before.end() && new_leaf != after.end() && old_leaf->second == new_leaf->second) continue;
      const Op op = old_leaf == before.end() ? Op::kAdd : new_leaf == after.end() ? Op::kRemove : Op::kChange;
      EXPECT_GT(matching, 0U) << path << " changed though no policy matches";
      EXPECT_EQ(path.find("globalName"), std::string::npos);
      EXPECT_EQ(path.find("default"), std::string::npos);
      EXPECT_EQ(new_leaf == after.end() ? std::string::npos : new_leaf->second.find("{{"), std::string::npos);
      for (const Policy& policy : policies) {
        if (policy.match.plugin == "other" || !Enforced(policy)) continue;
        EXPECT_TRUE(Covered(policy, path, op)) << path << " " << OpName(op) << " by " << policy.name;
      }
    }
  }
};

TEST_F(PolicyProperties, HoldForRandomRepliesAndPolicies) {
  const uint64_t seed = 20261124;
  Random random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  Evaluator evaluator;
  Evaluator shuffled_evaluator;
  size_t allowed = 0;
  for (int round = 0; round < kPairs / kRepliesForEachPolicy && !HasFailure(); ++round) {
    std::vector<Policy> policies;
    for (size_t i = 1 + random.Below(2); i > 0; --i) policies.push_back(RandomPolicy(random, i));
    std::vector<Policy> shuffled = policies;
    std::shuffle(shuffled.begin(), shuffled.end(), random.engine());
    for (Policy& policy : shuffled) {
      std::shuffle(policy.allow.begin(), policy.allow.end(), random.engine());
      std::shuffle(policy.deny.begin(), policy.deny.end(), random.engine());
    }
    std::vector<Policy> stricter = policies;
    stricter[0].deny.push_back(RandomRule(random, 100, true));
    const PolicySet set = SetOf(policies);
    const PolicySet shuffled_set = SetOf(shuffled);
    const PolicySet stricter_set = SetOf(stricter);
    for (int i = 0; i < kRepliesForEachPolicy; ++i) {
      Value before = RandomNode(random, /*sound=*/true);
      // What was sent is sound: nobody judges it.
      if (Value* const outputs = before.Find("outputs"); outputs != nullptr && random.OneIn(2)) *outputs = Value();
      std::erase_if(before.members, [](const Member& member) { return member.value.is_null(); });
      const Value sent = random.OneIn(3) ? Value::Object() : Wrapped(std::move(before));
      const std::string reply = ToJson(Wrapped(RandomNode(random)));
      const Call call = TheCall(sent);
      const Decision& decision = evaluator.Decide(set, call, reply);
      const Decision::Kind kind = decision.kind;
      EXPECT_EQ(shuffled_evaluator.Decide(shuffled_set, call, reply).kind, kind)
          << "the order of policies and rules mattered: " << reply;
      if (kind == Decision::Kind::kAllowed) {
        ++allowed;
        ExpectCovered(policies, sent, evaluator.Effective());
        EXPECT_EQ(ToJson(evaluator.Effective()), decision.canonical);
        // The canonical form is a fixed point: sent again, it changes nothing.
        const std::string canonical(decision.canonical);
        const Value effective = evaluator.Effective();
        const Call again = TheCall(effective);
        const Decision& second = evaluator.Decide(set, again, canonical);
        for (const Verdict& verdict : second.verdicts)
          EXPECT_TRUE(verdict.path.empty() || verdict.by.rule == kRequired) << verdict.path;
      }
      if (kind != Decision::Kind::kAllowed) {
        EXPECT_NE(evaluator.Decide(stricter_set, call, reply).kind, Decision::Kind::kAllowed)
            << "a deny rule allowed more: " << reply;
      }
      if (HasFailure()) {
        ADD_FAILURE() << "sent " << ToJson(sent) << "\nreply " << reply;
        break;
      }
    }
  }
  // Neither is always the answer, or the test shows nothing.
  EXPECT_GT(allowed, static_cast<size_t>(kPairs) / 200);
  EXPECT_LT(allowed, static_cast<size_t>(kPairs) * 3 / 4);
}

// Damaged bytes: never a crash, and whatever is admitted is admitted as canonical JSON that reads as itself.
TEST_F(PolicyProperties, HoldForDamagedReplies) {
  Random random(7);
  Evaluator evaluator;
  Policy policy;
  policy.name = "all";
  policy.match = {"p", "", {"template.execute"}, {"*"}, {"*"}, {}, {}, {}, {}, {}, {}, {}, {}};
  for (const std::string& path : Paths()) {
    Rule rule;
    rule.id = path;
    rule.path = *PathPattern::Parse(path).path;
    policy.allow.push_back(std::move(rule));
  }
  const PolicySet set = SetOf({policy});
  const Value sent = Value::Object();
  for (int i = 0; i < 20'000; ++i) {
    std::string reply = ToJson(Wrapped(RandomNode(random)));
    for (size_t edits = 1 + random.Below(3); edits > 0; --edits) {
      const size_t at = random.Below(reply.size());
      switch (random.Below(4)) {
        case 0: reply[at] = static_cast<char>(random.Below(256)); break;
        case 1: reply.erase(at, 1 + random.Below(4)); break;
        case 2: reply.insert(at, reply.substr(random.Below(reply.size()), random.Below(12))); break;
        default: reply.insert(at, 1, "{}[]\",:\\"[random.Below(8)]); break;
      }
      if (reply.empty()) reply = "{";
    }
    const Decision& decision = evaluator.Decide(set, TheCall(sent), reply);
    if (decision.kind != Decision::Kind::kAllowed) {
      EXPECT_TRUE(decision.canonical.empty());
      continue;
    }
    const JsonParse read = ParseJson(decision.canonical);
    ASSERT_TRUE(read.ok) << reply;
    EXPECT_EQ(ToJson(read.value), decision.canonical) << reply;
  }
}

}  // namespace
}  // namespace bulkhead::policy

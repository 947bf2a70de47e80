#include "policy/tools/corpus.h"

#include <algorithm>
#include <set>

#include "policy/schema/schema.h"
#include "policy/tools/trial.h"
#include "tests/unit/policy_tools/support.h"

namespace bulkhead::policy::tools {
namespace {

// The widest policy that loads: every leaf that rules can allow, any value, every op.
std::vector<Policy> AllowsAllItCan(Rpc rpc) {
  std::string rules;
  size_t number = 0;
  const auto leaves = Leaves();
  for (size_t i = 0; i < leaves.size(); ++i) {
    const LeafSpec& leaf = leaves[i];
    if (!InReply(rpc, static_cast<uint16_t>(i)) || leaf.field->set != ProtectedSet::kNone) continue;
    std::string path(leaf.path);
    for (size_t at = path.find("[]"); at != std::string::npos; at = path.find("[]")) path.replace(at, 2, "[*]");
    const bool duration = leaf.field->type == FieldType::kDuration;
    rules += "    - {id: r" + std::to_string(++number) + ", path: '" + path + "', op: [add, change, remove]" +
             (duration ? ", value: {duration: {min: 1s, max: 1h}}" : "") + "}\n";
  }
  if (rules.empty()) rules = "    []\n";
  return Read(PolicyText(rules, "", RpcName(rpc)));
}

TEST(HostileCorpus, NothingPassesEvenTheWidestPolicy) {
  size_t all = 0;
  for (const std::string_view name : RpcNames()) {
    const Rpc rpc = *RpcByName(name);
    const std::vector<Policy> policies = AllowsAllItCan(rpc);
    auto set = PolicySet::FromPolicies(policies);
    ASSERT_TRUE(set.ok());
    Trial trial(kTestNow);
    for (const CallContext& target : CorpusTargets(policies)) {
      const std::vector<HostileReply> corpus = HostileCorpus(target, policies);
      all += corpus.size();
      std::set<std::string> names;
      for (const HostileReply& hostile : corpus) {
        const TrialOutcome outcome = trial.Judge(*set, hostile.context, hostile.bytes);
        EXPECT_NE(outcome.verdict, "allow") << name << ": " << hostile.name;
        EXPECT_TRUE(names.insert(hostile.name).second) << "twice: " << hostile.name;
      }
    }
  }
  EXPECT_GT(all, 400U);
}

// Each reply is stopped by what it aims at, not by some accident of its making.
TEST(HostileCorpus, ProtectedLeavesAreRefusedByTheirSet) {
  for (const std::string_view name : RpcNames()) {
    const Rpc rpc = *RpcByName(name);
    const std::vector<Policy> policies = AllowsAllItCan(rpc);
    auto set = PolicySet::FromPolicies(policies);
    ASSERT_TRUE(set.ok());
    Trial trial(kTestNow);
    for (const CallContext& target : CorpusTargets(policies)) {
      for (const HostileReply& hostile : HostileCorpus(target, policies)) {
        if (!hostile.name.starts_with("protected: ") && !hostile.name.starts_with("value: ") &&
            !hostile.name.starts_with("transition: "))
          continue;
        const TrialOutcome outcome = trial.Judge(*set, hostile.context, hostile.bytes);
        EXPECT_TRUE(std::any_of(outcome.verdicts.begin(), outcome.verdicts.end(),
                                [&](const TrialVerdict& one) { return !one.allowed && one.by.rule == hostile.aim; }))
            << name << ": " << hostile.name << ": "
            << (outcome.verdicts.empty() ? "" : outcome.verdicts.back().by.rule);
      }
    }
  }
}

TEST(HostileCorpus, EveryProtectedLeafIsTried) {
  for (const std::string_view name : RpcNames()) {
    const Rpc rpc = *RpcByName(name);
    CallContext target;
    target.rpc = name;
    const auto corpus = HostileCorpus(target, {});
    const auto leaves = Leaves();
    size_t guarded = 0;
    for (size_t i = 0; i < leaves.size(); ++i)
      guarded += InReply(rpc, static_cast<uint16_t>(i)) && leaves[i].field->set != ProtectedSet::kNone ? 1 : 0;
    const auto tried = std::count_if(corpus.begin(), corpus.end(),
                                     [](const HostileReply& one) { return one.name.starts_with("protected: "); });
    EXPECT_EQ(static_cast<size_t>(tried), guarded) << name;
  }
}

TEST(HostileCorpus, AnUnprotectedLeafIsLeftOut) {
  const std::vector<Policy> policies = Read(PolicyText(
      "    - {id: g, path: \"node.outputs.parameters[ts].globalName\", value: {const: x}}\n",
      "  unprotect:\n    - {set: argo.globals, path: \"node.outputs.parameters[ts].globalName\", reason: why, expires: "
      "\"2099-01-01\"}\n"));
  const auto corpus = HostileCorpus(CorpusTargets(policies).front(), policies);
  EXPECT_TRUE(std::none_of(corpus.begin(), corpus.end(), [](const HostileReply& one) {
    return one.name == "protected: node.outputs.parameters[evil].globalName";
  }));
}

}  // namespace
}  // namespace bulkhead::policy::tools

// policy/README.md is true: its policies load, its rules fit into a policy, its replies are judged as it says.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "policy/diagnostic.h"
#include "policy/policy.h"

namespace bulkhead::policy {
namespace {

struct Block {
  std::string info;
  std::string text;
  size_t line = 0;
};

std::vector<Block> Blocks() {
  std::ifstream file(std::string(BULKHEAD_TESTS) + "/../policy/README.md");
  std::vector<Block> blocks;
  bool inside = false;
  size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({line.substr(3), "", number});
    } else if (inside) {
      blocks.back().text += line + "\n";
    }
  }
  return blocks;
}

// Lines that belong under `spec:`, in a policy of their own.
std::string AsPolicy(const std::string& rules) {
  std::string text =
      "apiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicy\nmetadata: {name: snippet}\nspec:\n"
      "  match: {plugin: {name: p}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"]}\n";
  std::istringstream lines(rules);
  for (std::string line; std::getline(lines, line);) text += "  " + line + "\n";
  return text;
}

TEST(Readme, EveryBlockIsTrue) {
  PolicySet first;
  size_t policies = 0;
  size_t replies = 0;
  for (const Block& block : Blocks()) {
    const std::string where = "README.md:" + std::to_string(block.line);
    if (block.info == "yaml" || block.info == "yaml rules") {
      PolicySet set;
      const Status loaded = set.Load(block.info == "yaml" ? block.text : AsPolicy(block.text), where);
      EXPECT_TRUE(loaded.ok()) << loaded.error().message();
      if (policies++ == 0) first = std::move(set);
    } else if (block.info.starts_with("json ")) {
      Evaluator evaluator;
      Call call;
      call.subject = {"slack", "template.execute", "ci-1", "wf", "notify-done"};
      const Decision& decision = evaluator.Decide(first, call, block.text);
      const bool allowed = block.info == "json allowed";
      EXPECT_EQ(decision.kind, allowed ? Decision::Kind::kAllowed : Decision::Kind::kRefused) << where;
      if (!allowed) {
        ASSERT_FALSE(decision.verdicts.empty()) << where;
        const std::string expected = block.info.substr(std::string_view("json refused ").size());
        const bool named = std::any_of(decision.verdicts.begin(), decision.verdicts.end(), [&](const Verdict& verdict) {
          return !verdict.allowed && verdict.by.rule == expected;
        });
        EXPECT_TRUE(named) << where;
      }
      ++replies;
    } else {
      ADD_FAILURE() << where << ": a block that no test runs: " << block.info;
    }
  }
  EXPECT_GE(policies, 5U);
  EXPECT_GE(replies, 5U);
}

}  // namespace
}  // namespace bulkhead::policy

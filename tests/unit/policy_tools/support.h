// What the tests of the tools share: policies and contexts from text.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"
#include "policy/tools/call_context.h"
#include "policy/tools/test_file.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy::tools {

constexpr int64_t kTestNow = 1'800'000'000;  // 2027-01-15

// A policy for plugin "slack" with these lines below `spec.allow:`, and what else follows.
inline std::string PolicyText(std::string_view rules, std::string_view rest = "",
                              std::string_view rpc = "template.execute") {
  return "apiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicy\nmetadata: {name: p, owner: me@example.com}\nspec:\n"
         "  match: {plugin: {name: slack}, rpc: [" +
         std::string(rpc) + "], namespaces: [\"*\"], templates: [\"*\"]}\n  allow:\n" + std::string(rules) +
         std::string(rest);
}

inline std::vector<Policy> Read(std::string_view text, const std::string& file = "p.yaml") {
  Diagnostics diagnostics(file);
  std::vector<Policy> policies = ReadPolicies(text, diagnostics);
  EXPECT_FALSE(diagnostics.HasErrors()) << diagnostics.ToStatus().error().message();
  return policies;
}

inline PolicySet SetOf(std::string_view text) {
  auto set = PolicySet::FromPolicies(Read(text));
  EXPECT_TRUE(set.ok());
  return set.ok() ? std::move(*set) : PolicySet();
}

inline CallContext ContextOf(std::string_view yaml) {
  CallContext context;
  Diagnostics diagnostics("context");
  auto documents = ParseYaml(yaml, "context");
  EXPECT_TRUE(documents.ok());
  if (documents.ok()) ReadCallContext((*documents)[0], context, diagnostics);
  EXPECT_TRUE(diagnostics.empty());
  return context;
}

inline CallContext SlackRunning() {
  return ContextOf(
      "{plugin: slack, workflow: {name: wf, namespace: ci}, template: {name: t, outputs: {parameters: [{name: ts}]}}, "
      "node: {phase: Running}}");
}

inline TestFile ReadTests(std::string_view text) {
  Diagnostics diagnostics("p_test.yaml");
  auto test = ReadTestFile(text, "p_test.yaml", diagnostics);
  EXPECT_TRUE(test.has_value()) << diagnostics.ToStatus().error().message();
  return test.value_or(TestFile());
}

}  // namespace bulkhead::policy::tools

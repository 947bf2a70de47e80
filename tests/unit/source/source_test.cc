#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runner/base/io.h"
#include "runner/source/local.h"
#include "runner/source/manifest.h"

namespace bulkhead::source {
namespace {

class SourceTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() + "/" + name) << text;
    return folder_.path() + "/" + name;
  }
  std::string SetError(const std::string& text) const {
    const auto sets = LoadSets({Write("f.yaml", text)});
    return sets.ok() ? "" : sets.error().message();
  }
  std::string PluginError(const std::string& container, const std::string& more = "") const {
    const auto plugins = LoadPlugins({Write("p.yaml", Manifest(container, more))});
    return plugins.ok() ? "" : plugins.error().message();
  }
  static std::string Manifest(const std::string& container, const std::string& more = "") {
    return "apiVersion: argoproj.io/v1alpha1\nkind: ExecutorPlugin\nmetadata: {name: p}\nspec:\n  sidecar:\n" + more +
           "    container:\n      name: p\n" + container;
  }
  const TempDir folder_ = TempDir::Create("source-test-").value();
};

constexpr const char* kGood =
    "      command: [python3]\n      ports: [{containerPort: 4355}]\n      resources: {requests: {memory: 1Mi, cpu: "
    "1m}, limits: {memory: 64Mi, cpu: 500m}}\n"
    "      securityContext: {runAsNonRoot: true, runAsUser: 65534}\n";

TEST_F(SourceTest, AManifestIsReadWhole) {
  const auto plugins = LoadPlugins({Write("p.yaml", Manifest(kGood))});
  ASSERT_TRUE(plugins.ok()) << plugins.error().message();
  const auto& plugin = plugins->front();
  EXPECT_EQ(plugin.name, "p");
  EXPECT_EQ(plugin.ports, std::vector<uint16_t>{4355});
  EXPECT_EQ(plugin.memory_bytes, 64U << 20U);
  EXPECT_EQ(plugin.cpu_millis, 500U);
  EXPECT_EQ(plugin.uid, 65534U);
  EXPECT_TRUE(plugin.run_as_non_root);
}

TEST_F(SourceTest, WhatAManifestCannotHaveIsRefusedWithItsPlace) {
  const std::string good = kGood;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {good + "      comand: [x]\n", "did you mean \"command\""},
      {"      command: [x]\n", "ports"},
      {good + "      volumeMounts: [{name: x, mountPath: /x}]\n", "volumeMounts"},
      {good + "      lifecycle: {preStop: {}}\n", "lifecycle"},
      {"      command: [x]\n      ports: [{containerPort: 70000}]\n", "containerPort"},
      {"      command: [x]\n      ports: [{containerPort: 4355}]\n      securityContext: {privileged: true}\n",
       "privileged"},
      {"      command: [x]\n      ports: [{containerPort: 4355}]\n      securityContext: {allowPrivilegeEscalation: "
       "true}\n",
       "allowPrivilegeEscalation"},
      {"      command: [x]\n      ports: [{containerPort: 4355}]\n      securityContext: {capabilities: {add: "
       "[NET_ADMIN]}}\n",
       "capabilities"},
      {"      command: [x]\n      ports: [{containerPort: 4355}]\n      resources: {limits: {memory: lots}}\n",
       "memory"},
  };
  for (const auto& [container, expected] : cases) {
    const std::string error = PluginError(container);
    EXPECT_NE(error.find("p.yaml:"), std::string::npos) << container << " -> " << error;
    EXPECT_NE(error.find(expected), std::string::npos) << container << " -> " << error;
  }
}

TEST_F(SourceTest, WhatIsNotDoneIsNamedInANotice) {
  const auto plugins = LoadPlugins(
      {Write("p.yaml", Manifest(std::string(kGood) + "      livenessProbe: {httpGet: {path: /, port: 4355}}\n"))});
  ASSERT_TRUE(plugins.ok()) << plugins.error().message();
  ASSERT_FALSE(plugins->front().notices.empty());
  EXPECT_NE(plugins->front().notices.front().find("livenessProbe"), std::string::npos);
}

TEST_F(SourceTest, TwoPluginsOfOneNameOrPortAreRefused) {
  const std::string one = Write("a.yaml", Manifest(kGood));
  const std::string two = Write("b.yaml", Manifest(kGood));
  EXPECT_FALSE(LoadPlugins({one, two}).ok());
}

TEST_F(SourceTest, AWorkflowBeyondTheSimpleIsRefusedNamingTheConstruct) {
  const std::string head =
      "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: main\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"  templates:\n    - name: main\n      dag: {tasks: []}\n", "dag"},
      {"  templates:\n    - name: main\n      container: {image: x}\n", "container"},
      {"  templates:\n    - name: main\n      steps: [[{name: a, template: b, when: \"x\"}]]\n    - name: b\n      "
       "plugin: {p: {}}\n",
       "when"},
      {"  templates:\n    - name: main\n      steps: [[{name: a, template: c}]]\n    - name: b\n      plugin: {p: "
       "{}}\n",
       "\"c\""},
      {"  templates:\n    - name: mai\n      plugin: {p: {}}\n", "did you mean \"mai\""},
      {"  onExit: x\n  templates:\n    - name: main\n      plugin: {p: {}}\n", "onExit"},
  };
  for (const auto& [rest, expected] : cases) {
    const std::string error = SetError(head + rest);
    EXPECT_NE(error.find("f.yaml:"), std::string::npos) << rest << " -> " << error;
    EXPECT_NE(error.find(expected), std::string::npos) << rest << " -> " << error;
  }
}

TEST_F(SourceTest, SeveralDocumentsAreSeveralSets) {
  const std::string set =
      "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTaskSet\nmetadata: {name: NAME}\nspec: {tasks: {nn: {name: t, "
      "plugin: {p: {}}}}}\n";
  std::string one = set;
  std::string two = set;
  one.replace(one.find("NAME"), 4, "one");
  two.replace(two.find("NAME"), 4, "two");
  const auto sets = LoadSets({Write("f.yaml", one + "---\n" + two)});
  ASSERT_TRUE(sets.ok()) << sets.error().message();
  ASSERT_EQ(sets->size(), 2U);
  EXPECT_EQ((*sets)[1].workflow.name, "two");
}

TEST_F(SourceTest, ASecretIsNoInput) {
  EXPECT_NE(SetError("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"), "");
  EXPECT_NE(SetError("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: s}\n"), "");
  EXPECT_NE(SetError(""), "");
  EXPECT_NE(SetError("a: [\n"), "");
}

TEST(NodeIds, AreArgos) {
  EXPECT_EQ(NodeId("wf", "wf"), "wf");
  // FNV-1a, 32 bits, of "a" is 0xe40c292c.
  EXPECT_EQ(NodeId("wf", "a"), "wf-3826002220");
}

}  // namespace
}  // namespace bulkhead::source

// What can be told of the sandbox without a kernel; what it does is shown by the attack tests.
#include <gtest/gtest.h>

#include "runner/sandbox/kernel_features.h"
#include "runner/sandbox/landlock.h"
#include "runner/sandbox/plan.h"
#include "runner/sandbox/seccomp.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {
namespace {

SandboxSpec Good() {
  SandboxSpec spec;
  spec.name = "p";
  spec.argv = {"/bin/true"};
  return spec;
}

TEST(Spec, WhatIsWrongIsSaid) {
  EXPECT_TRUE(Validate(Good()).ok());
  const std::vector<std::pair<const char*, void (*)(SandboxSpec&)>> wrongs = {
      {"name", [](SandboxSpec& spec) { spec.name = "../x"; }},
      {"name", [](SandboxSpec& spec) { spec.name = ""; }},
      {"argv", [](SandboxSpec& spec) { spec.argv.clear(); }},
      {"port", [](SandboxSpec& spec) { spec.ports = {0}; }},
      {"port", [](SandboxSpec& spec) { spec.serve_port = 80; }},
      {"uid",
       [](SandboxSpec& spec) {
         spec.uid = 0;
         spec.tier = Tier::kRestricted;
       }},
      {"env", [](SandboxSpec& spec) { spec.env = {"NO_EQUALS"}; }},
  };
  for (const auto& [what, make] : wrongs) {
    SandboxSpec spec = Good();
    make(spec);
    EXPECT_FALSE(Validate(spec).ok()) << what;
  }
}

TEST(Spec, PrintsNoSecret) {
  SandboxSpec spec = Good();
  spec.token = "token-value";
  spec.env = {"KEY=env-value"};
  const std::string text = ToJson(ToValue(spec));
  EXPECT_EQ(text.find("token-value"), std::string::npos);
  EXPECT_EQ(text.find("env-value"), std::string::npos);
  EXPECT_NE(text.find("KEY"), std::string::npos);
}

KernelFeatures Full() {
  KernelFeatures features;
  features.landlock_abi = 7;
  features.seccomp_filter = features.seccomp_user_notify = features.user_namespaces = features.all_namespaces =
      features.mount_proc = true;
  features.cgroup_version = 2;
  return features;
}

TEST(Assess, EachLayerCounts) {
  EXPECT_TRUE(Assess(Full()).strict && Assess(Full()).restricted);
  struct Case {
    const char* what;
    void (*make)(KernelFeatures&);
    bool strict, restricted;
  };
  const std::vector<Case> cases = {
      {"no Landlock", [](KernelFeatures& f) { f.landlock_abi = 0; }, false, false},
      {"no seccomp", [](KernelFeatures& f) { f.seccomp_filter = false; }, false, false},
      {"no user namespaces", [](KernelFeatures& f) { f.user_namespaces = f.all_namespaces = f.mount_proc = false; },
       false, true},
      {"no proc", [](KernelFeatures& f) { f.mount_proc = false; }, false, true},
      {"no cgroups", [](KernelFeatures& f) { f.cgroup_version = 0; }, true, true},
      {"older Landlock", [](KernelFeatures& f) { f.landlock_abi = 1; }, true, true},
  };
  for (const Case& one : cases) {
    KernelFeatures features = Full();
    one.make(features);
    const TierReport report = Assess(features);
    EXPECT_EQ(report.strict, one.strict) << one.what;
    EXPECT_EQ(report.restricted, one.restricted) << one.what;
    EXPECT_EQ(report.strict_reason.empty(), one.strict) << one.what;
  }
}

TEST(Landlock, RightsGrowWithTheAbi) {
  uint64_t before = 0;
  for (const int abi : {1, 2, 3, 5}) {
    EXPECT_GT(HandledFs(abi), before);
    before = HandledFs(abi);
  }
  EXPECT_EQ(HandledNet(3), 0U);
  EXPECT_NE(HandledNet(4), 0U);
  EXPECT_EQ(HandledScopes(5), 0U);
  EXPECT_NE(HandledScopes(6), 0U);
}

TEST(Seccomp, AnUnknownProfileIsRefusedWithTheNearest) {
  const auto program = CompilePluginFilter("defalt", Tier::kStrict, Full(), {});
  ASSERT_FALSE(program.ok());
  EXPECT_NE(program.error().message().find("default"), std::string::npos);
}

TEST(Plan, ReadsBackAsItWasWritten) {
  Plan plan;
  plan.tier = Tier::kStrict;
  plan.name = "p";
  plan.argv = {"/bin/true", "x y", ""};
  plan.env = {"A=b"};
  plan.token = std::string("t\0k", 3);
  plan.uids = {{0, 100}, {5, 101}};
  plan.mounts.push_back({MountEntry::Kind::kBind, "/usr", "/usr", true});
  const std::string bytes = SerializePlan(plan);
  const auto parsed = ParsePlan(bytes);
  ASSERT_TRUE(parsed.has_value());
  const Plan& read = *parsed;
  EXPECT_EQ(read.argv, plan.argv);
  EXPECT_EQ(read.token, plan.token);
  ASSERT_EQ(read.uids.size(), 2U);
  EXPECT_EQ(read.uids[1].outside, 101U);
  EXPECT_EQ(read.mounts[0].target, "/usr");
  // Whatever is cut off, it is refused, and never read past its end.
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParsePlan(bytes.substr(0, size)).has_value()) << size;
  }
}

}  // namespace
}  // namespace bulkhead::sandbox

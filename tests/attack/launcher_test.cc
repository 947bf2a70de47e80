// What the launcher proves, refuses and survives.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "harness.h"

namespace bulkhead::sandbox {
namespace {

using Cause = ExitReport::Cause;

// The processes that `parent` has.
std::vector<pid_t> Children(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(parent) + "/task")) {
    std::ifstream list(task.path() / "children");
    for (pid_t pid = 0; list >> pid;) children.push_back(pid);
  }
  return children;
}

TEST_F(AttackTest, TheTierReachedIsAttested) {
  const Running strict = Start(Tier::kStrict, {"wait"});
  const Running restricted = Start(Tier::kRestricted, {"wait"});
  ASSERT_TRUE(strict.process != nullptr && restricted.process != nullptr);
  for (const auto* process : {strict.process.get(), restricted.process.get()}) {
    const Attestation& proof = process->attestation();
    EXPECT_TRUE(proof.no_new_privs && proof.seccomp_filter && proof.capabilities_empty && proof.securebits_locked &&
                proof.probe_denied && proof.landlock_denied);
  }
  EXPECT_EQ(strict.process->attestation().namespaces.size(), 7U);
  EXPECT_TRUE(restricted.process->attestation().namespaces.empty());
}

TEST_F(AttackTest, ATierThatCannotBeHadIsRefusedNeverLowered) {
  KernelFeatures poorer = features_;
  poorer.user_namespaces = poorer.all_namespaces = poorer.mount_proc = false;
  poorer.reasons = {"namespaces: turned off for this test"};
  auto launcher = Launcher::Create(poorer, {});
  ASSERT_TRUE(launcher.ok());
  const auto refused = (*launcher)->Launch(Spec(Tier::kStrict, {"ids"}), nullptr, "", {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kUnsupported);
  EXPECT_NE(refused.error().message().find("turned off for this test"), std::string::npos) << refused.error().message();
  const TierReport report = Assess(poorer);
  EXPECT_FALSE(report.strict);
  EXPECT_TRUE(report.restricted);
}

TEST_F(AttackTest, WithoutLandlockThereIsNoTier) {
  KernelFeatures poorer = features_;
  poorer.landlock_abi = 0;
  const TierReport report = Assess(poorer);
  EXPECT_FALSE(report.strict);
  EXPECT_FALSE(report.restricted);
  const auto best = BestTier(report);
  ASSERT_FALSE(best.ok());
  EXPECT_NE(best.error().message().find("doctor"), std::string::npos);
}

TEST_F(AttackTest, AViolationWithoutAListenerStillKills) {
  KernelFeatures poorer = features_;
  poorer.seccomp_user_notify = false;
  auto launcher = Launcher::Create(poorer, {});
  ASSERT_TRUE(launcher.ok());
  launcher_ = std::move(*launcher);
  const Outcome outcome = Confined(Tier::kStrict, {"ptrace", "1"});
  EXPECT_FALSE(outcome.Done());
  EXPECT_EQ(outcome.report.cause, Cause::kSeccomp) << outcome.Describe();
}

TEST_F(AttackTest, ALaunchThatFailsHalfwayLeavesNoProcess) {
  for (const Tier tier : {Tier::kStrict, Tier::kRestricted}) {
    SandboxSpec spec = Spec(tier, {"ids"});
    spec.shown = {"/no/such/folder"};
    const std::vector<pid_t> before = Children(::getpid());
    const auto process = launcher_->Launch(spec, nullptr, "", {});
    ASSERT_FALSE(process.ok()) << TierName(tier);
    EXPECT_NE(process.error().message().find("/no/such/folder"), std::string::npos) << process.error().message();
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (Children(::getpid()) != before && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(Children(::getpid()), before) << TierName(tier);
  }
}

TEST_F(AttackTest, AProgramThatIsNotThereIsAnErrorOfSetUp) {
  SandboxSpec spec = Spec(Tier::kStrict, {});
  spec.argv = {"/usr/bin/no-such-program"};
  const auto process = launcher_->Launch(spec, nullptr, "", {});
  if (process.ok()) {
    const auto report = (*process)->WaitExit(kPatience);
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->cause, Cause::kSetupFailed);
    EXPECT_NE(report->ToString().find("no-such-program"), std::string::npos) << report->ToString();
  } else {
    EXPECT_NE(process.error().message().find("no-such-program"), std::string::npos) << process.error().message();
  }
}

TEST_F(AttackTest, TheDeathOfTheShimIsTheDeathOfThePlugin) {
  for (const Tier tier : {Tier::kStrict, Tier::kRestricted}) {
    const Running running = Start(tier, {"wait"});
    ASSERT_NE(running.process, nullptr);
    ASSERT_TRUE(running.WaitFor("READY"));
    const auto plugins = Children(running.process->pid());
    ASSERT_EQ(plugins.size(), 1U);
    ASSERT_EQ(::kill(running.process->pid(), SIGKILL), 0);
    const auto report = running.process->WaitExit(kPatience);
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->cause, Cause::kShimFailed) << report->ToString();
    EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(plugins.front()) + "/exe"));
  }
}

TEST_F(AttackTest, TheDeathOfTheSpawnerIsSurvived) {
  const Running before = Start(Tier::kStrict, {"wait"});
  ASSERT_NE(before.process, nullptr);
  // The one child of this process that is no compartment.
  pid_t spawner = -1;
  for (const pid_t pid : Children(::getpid())) {
    if (pid != before.process->pid()) spawner = pid;
  }
  ASSERT_GT(spawner, 0);
  ASSERT_EQ(::kill(spawner, SIGKILL), 0);
  const Outcome after = Confined(Tier::kStrict, {"ids"});
  EXPECT_TRUE(after.Done()) << after.Describe();
}

}  // namespace
}  // namespace bulkhead::sandbox

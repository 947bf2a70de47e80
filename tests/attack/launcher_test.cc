// What the launcher proves, refuses and survives.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <thread>
#include <vector>

#include "harness.h"
#include "runner/sandbox/compartment.h"
#include "runner/sandbox/packet.h"
#include "runner/sandbox/protocol.h"
#include "runner/sandbox/supervisor.h"

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

// A shim that was taken over says that all is over while its plugin writes on.
TEST(SupervisorTest, WhoWritesOnAfterTheEndHoldsUpNobody) {
  auto supervisor = Supervisor::Create();
  ASSERT_TRUE(supervisor.ok());
  const auto compartment = std::make_shared<Compartment>();
  compartment->tier = Tier::kRestricted;
  int control[2] = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
  compartment->control.Reset(control[0]);
  const UniqueFd shim(control[1]);
  int out[2] = {};
  int err[2] = {};
  ASSERT_EQ(::pipe2(out, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(err, O_CLOEXEC), 0);
  compartment->output[0].Reset(out[0]);
  compartment->output[1].Reset(err[0]);
  ::close(err[1]);
  std::vector<pid_t> writers;
  for (int i = 0; i < 4; ++i) {
    writers.push_back(::fork());
    if (writers.back() == 0) {
      static const std::array<char, 65536> kBlock = {};
      while (::write(out[1], kBlock.data(), kBlock.size()) > 0) {
      }
      ::_exit(0);
    }
  }
  ::close(out[1]);
  compartment->spawned = writers.front();
  compartment->spawned_pidfd.Reset(static_cast<int>(::syscall(SYS_pidfd_open, writers.front(), 0)));
  ASSERT_TRUE(compartment->spawned_pidfd.valid());
  ASSERT_TRUE((*supervisor)->Watch(compartment).ok());
  ExitMessage message;
  message.alone = 1;
  ASSERT_TRUE(SendPacket(shim.get(), &message, sizeof message));
  {
    std::unique_lock lock(compartment->mutex);
    EXPECT_TRUE(
        compartment->changed.wait_for(lock, std::chrono::seconds(10), [&] { return compartment->report.has_value(); }));
  }
  for (const pid_t writer : writers) ::kill(writer, SIGKILL);
  for (size_t i = 1; i < writers.size(); ++i) ::waitpid(writers[i], nullptr, 0);
  std::unique_lock lock(compartment->mutex);
  EXPECT_TRUE(compartment->changed.wait_for(lock, kPatience, [&] { return compartment->cleaned; }));
}

// Nor may it name another process as the shim: the agent would kill that one.
TEST(CompartmentTest, OnlyTheFirstInitNamesTheShim) {
  const std::string notice(1, static_cast<char>(Notice::kProcess));
  const auto pidfd = [] { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))); };
  Compartment restricted;
  restricted.tier = Tier::kRestricted;
  restricted.OnMessage(notice, pidfd());
  EXPECT_FALSE(restricted.shim_pidfd.valid());
  Compartment strict;
  strict.tier = Tier::kStrict;
  strict.OnMessage(notice, {});
  EXPECT_FALSE(strict.shim_pidfd.valid());
  strict.OnMessage(notice, pidfd());
  ASSERT_TRUE(strict.shim_pidfd.valid());
  const int first = strict.shim_pidfd.get();
  strict.OnMessage(notice, pidfd());
  EXPECT_EQ(strict.shim_pidfd.get(), first);
  Compartment late;
  late.tier = Tier::kStrict;
  late.attestation.emplace();
  late.OnMessage(notice, pidfd());
  EXPECT_FALSE(late.shim_pidfd.valid());
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

// What the launcher proves, refuses and survives.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <functional>
#include <future>
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

// A compartment of which this test is the shim.
class SupervisorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    auto supervisor = Supervisor::Create();
    ASSERT_TRUE(supervisor.ok());
    supervisor_ = std::move(*supervisor);
    int control[2] = {};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
    compartment_->tier = Tier::kRestricted;
    compartment_->control.Reset(control[0]);
    shim_.Reset(control[1]);
    for (size_t i = 0; i < 2; ++i) {
      int pipe[2] = {};
      ASSERT_EQ(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
      compartment_->output[i].Reset(pipe[0]);
      writers_[i].Reset(pipe[1]);
    }
    compartment_->spawned = ::fork();
    if (compartment_->spawned == 0) {
      for (;;) ::pause();
    }
    compartment_->spawned_pidfd.Reset(static_cast<int>(::syscall(SYS_pidfd_open, compartment_->spawned, 0)));
    ASSERT_TRUE(compartment_->spawned_pidfd.valid());
  }
  void TearDown() override {
    shim_.Reset();
    ::kill(compartment_->spawned, SIGKILL);
    EXPECT_TRUE(Until([&] { return compartment_->cleaned; }));
  }
  void TellExit(bool alone) const {
    ExitMessage message;
    message.alone = alone ? 1 : 0;
    ASSERT_TRUE(SendPacket(shim_.get(), &message, sizeof message));
  }
  bool Until(const std::function<bool()>& condition) const {
    std::unique_lock lock(compartment_->mutex);
    return compartment_->changed.wait_for(lock, std::chrono::seconds(10), condition);
  }

  std::unique_ptr<Supervisor> supervisor_;
  const std::shared_ptr<Compartment> compartment_ = std::make_shared<Compartment>();
  UniqueFd shim_;
  std::array<UniqueFd, 2> writers_;
};

// A shim that was taken over says that all is over while its plugin writes on: there is more each time it is read.
TEST_F(SupervisorTest, WhoWritesOnAfterTheEndHoldsUpNobody) {
  static const std::array<char, 65536> kBlock = {};
  std::atomic<bool> writes = true;
  const auto more = [&] {
    while (writes && ::write(writers_[0].get(), kBlock.data(), kBlock.size()) > 0) {
    }
  };
  more();
  compartment_->callbacks.on_output = [&](Stream, std::string_view) { more(); };
  ASSERT_TRUE(supervisor_->Watch(compartment_).ok());
  TellExit(true);
  EXPECT_TRUE(Until([&] { return compartment_->report.has_value(); }));
  writes = false;
}

TEST_F(SupervisorTest, AShimThatReadsNoMoreHoldsUpNobody) {
  ASSERT_TRUE(supervisor_->Watch(compartment_).ok());
  auto filled = std::async(std::launch::async, [&] {
    const char order = static_cast<char>(Order::kConnection);
    while (SendPacket(compartment_->control.get(), &order, sizeof order)) {
    }
    return errno;
  });
  EXPECT_EQ(filled.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  shim_.Reset();
  EXPECT_EQ(filled.get(), EAGAIN);
}

// The shim told how the plugin ended, and then did not end the others.
TEST_F(SupervisorTest, WhatTheShimLeavesBehindIsKilledWhateverItSaid) {
  const CgroupPlace place = FindCgroupPlace();
  ASSERT_NE(place.version, 0) << place.reason;
  auto cgroup = Cgroup::Create(place, Limits());
  ASSERT_TRUE(cgroup.ok());
  compartment_->cgroup = std::move(*cgroup);
  const auto files = compartment_->cgroup->OpenProcs();
  ASSERT_TRUE(files.ok());
  const pid_t left = ::fork();
  if (left == 0) {
    for (const UniqueFd& file : *files) (void)!::write(file.get(), "0", 1);
    (void)!::write(writers_[0].get(), "in", 2);
    for (;;) ::pause();
  }
  char text[2] = {};
  while (::read(compartment_->output[0].get(), text, sizeof text) != 2) std::this_thread::yield();
  ASSERT_TRUE(supervisor_->Watch(compartment_).ok());
  TellExit(false);
  ::kill(compartment_->spawned, SIGKILL);
  EXPECT_TRUE(Until([&] { return compartment_->cleaned; }));
  int status = 0;
  EXPECT_EQ(::waitpid(left, &status, WNOHANG), left);
  EXPECT_TRUE(WIFSIGNALED(status));
  ::kill(left, SIGKILL);
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

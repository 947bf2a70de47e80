// The ways out of a compartment. Each test has the same act succeed outside of one, so that none passes
// because the act could never have worked.
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <vector>

#include "harness.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::sandbox {
namespace {

using Cause = ExitReport::Cause;

INSTANTIATE_TEST_SUITE_P(Tiers, InTier, ::testing::Values(Tier::kStrict, Tier::kRestricted),
                         [](const auto& tier) { return std::string(TierName(tier.param)); });

bool Done(const std::string& out) {
  return out.find("DONE") != std::string::npos;
}

std::string ErrnoOf(const std::string& out) {
  return out.substr(0, out.find('\n'));
}

// --- other processes ----------------------------------------------------------------------------

TEST_P(InTier, PtraceKillsThePluginAndIsNamed) {
  const Victim victim(kPluginUid);
  const std::vector<std::string> act = {"ptrace", std::to_string(victim.pid())};
  EXPECT_TRUE(Done(Free(act)));
  const Outcome outcome = Confined(act);
  EXPECT_EQ(outcome.report.cause, Cause::kSeccomp) << outcome.Describe();
  EXPECT_EQ(outcome.report.syscall, "ptrace");
}

TEST_P(InTier, ReadingAnothersMemoryByCallKillsThePlugin) {
  const Victim victim(kPluginUid);
  const std::vector<std::string> act = {"process-vm-readv", std::to_string(victim.pid()), victim.address()};
  EXPECT_TRUE(Done(Free(act)));
  const Outcome outcome = Confined(act);
  EXPECT_EQ(outcome.report.cause, Cause::kSeccomp) << outcome.Describe();
  EXPECT_EQ(outcome.report.syscall, "process_vm_readv");
}

TEST_P(InTier, AnothersMemoryFileIsOutOfReachThoughOfTheSameUser) {
  const Victim victim(kPluginUid);
  const std::vector<std::string> act = {"memory", std::to_string(victim.pid()), victim.address()};
  EXPECT_EQ(Free(act), "DONE secret-of-the-victim\n");
  const Outcome outcome = Confined(act);
  EXPECT_TRUE(Strict() ? outcome.Denied(ENOENT) : outcome.Denied(EACCES)) << outcome.Describe();
}

TEST_P(InTier, AnothersEnvironmentIsOutOfReach) {
  const Victim victim(kPluginUid);
  const std::vector<std::string> act = {"read", "/proc/" + std::to_string(victim.pid()) + "/environ"};
  EXPECT_TRUE(Done(Free(act)));
  const Outcome outcome = Confined(act);
  EXPECT_TRUE(Strict() ? outcome.Denied(ENOENT) : outcome.Denied(EACCES)) << outcome.Describe();
}

TEST_P(InTier, NoSignalLeavesTheCompartment) {
  const Victim victim(kPluginUid);
  const std::vector<std::string> act = {"kill", std::to_string(victim.pid())};
  const Outcome outcome = Confined(act);
  EXPECT_TRUE(Strict() ? outcome.Denied(ESRCH) : outcome.Denied(EPERM)) << outcome.Describe();
  EXPECT_TRUE(victim.alive());
  EXPECT_TRUE(Done(Free(act)));
  EXPECT_TRUE(victim.Ends());
}

// It is not sent by the process that asks for it, and so by no call that seccomp knows.
TEST_P(InTier, NoDescriptorSignalsForThePlugin) {
  const Victim first(kPluginUid);
  EXPECT_TRUE(Done(Free({"kill-by-descriptor", std::to_string(first.pid())})));
  EXPECT_TRUE(first.Ends());
  const Victim second(kPluginUid);
  Confined({"kill-by-descriptor", std::to_string(second.pid())});
  EXPECT_TRUE(second.alive());
}

// The kernel asks only whether the user is the same. A limit of 0 ends an agent, and blinds a shim.
TEST_P(InTier, NobodyElsesLimitsAndSchedulingAreTaken) {
  for (const char* const what :
       {"limit", "affinity", "scheduler", "parameters", "attributes", "priority", "user-priority", "io-priority"}) {
    const Victim victim(kPluginUid);
    const bool parameters = std::string_view(what) == "parameters";  // which SCHED_OTHER has none of
    const std::string free = Free({"take", what, std::to_string(victim.pid())});
    EXPECT_TRUE(Done(free) || parameters) << what << ": " << free;
    for (const std::string& whose : {std::to_string(victim.pid()), std::string("parent")}) {
      const Outcome outcome = Confined({"take", what, whose});
      EXPECT_TRUE(outcome.Denied(EPERM)) << what << " of " << whose << ": " << outcome.Describe();
    }
  }
  for (const char* const what : {"limit", "affinity", "scheduler", "priority", "io-priority"}) {
    const Outcome own = Confined({"take", what, "0"});
    EXPECT_TRUE(own.Done()) << what << ": " << own.Describe();
  }
}

TEST_P(InTier, TheShimCannotBeSignalled) {
  const Outcome outcome = Confined({"kill", "parent"});
  EXPECT_TRUE(outcome.Denied(EPERM)) << outcome.Describe();
  EXPECT_EQ(outcome.report.cause, Cause::kExited);
}

TEST_F(AttackTest, SignalsAreGuardedWhereLandlockCannotScopeThem) {
  KernelFeatures older = features_;
  older.landlock_abi = std::min(older.landlock_abi, 5);
  auto launcher = Launcher::Create(older, {});
  ASSERT_TRUE(launcher.ok()) << launcher.error().message();
  launcher_ = std::move(*launcher);
  const Victim victim(kPluginUid);
  const Outcome kill = Confined(Tier::kRestricted, {"kill", std::to_string(victim.pid())});
  EXPECT_TRUE(kill.Denied(EPERM)) << kill.Describe();
  EXPECT_TRUE(victim.alive());
  const Outcome by_descriptor = Confined(Tier::kRestricted, {"kill-by-descriptor", std::to_string(victim.pid())});
  EXPECT_TRUE(by_descriptor.Denied(EPERM)) << by_descriptor.Describe();
  EXPECT_TRUE(victim.alive());
  const Outcome own = Confined(Tier::kRestricted, {"kill-self"});
  EXPECT_TRUE(own.Done()) << own.Describe();
}

TEST_F(AttackTest, AnotherPluginsTokenIsOutOfReachThoughOfTheSameUser) {
  const Running owner =
      Start(Tier::kRestricted, {"wait"}, nullptr, "", [](SandboxSpec& spec) { spec.token = "token-of-the-other"; });
  ASSERT_NE(owner.process, nullptr);
  ASSERT_TRUE(owner.WaitFor("READY"));
  const std::string pid = owner.Output().substr(6, owner.Output().find(' ', 6) - 6);
  const std::vector<std::string> act = {"read", "/proc/" + pid + "/fd/5"};
  // Root, unconfined, finds it there.
  const std::string seen = Free(act, 0);
  ASSERT_EQ(seen, "DONE token-of-the-other\n") << "the token is not where this test looks for it";
  const Outcome outcome = Confined(Tier::kRestricted, act, [](SandboxSpec& spec) { spec.token = "its own"; });
  EXPECT_TRUE(outcome.Denied(EACCES)) << outcome.Describe();
}

TEST_P(InTier, ItsOwnTokenIsWhereArgoPutsIt) {
  const Outcome outcome = Confined({"read", "/var/run/argo/token"}, [](SandboxSpec& spec) { spec.token = "token-1"; });
  EXPECT_EQ(outcome.out, "DONE token-1\n") << outcome.Describe();
}

// --- files --------------------------------------------------------------------------------------

TEST_P(InTier, AFileOfTheHostCannotBeRead) {
  const std::string secret = "/srv/bulkhead-attack-secret-" + std::to_string(::getpid());
  std::filesystem::create_directories("/srv");
  std::ofstream(secret) << "host secret";
  // The root that strict leaves behind must not lie under the new one.
  for (const char* const way : {"", "/..", "/proc/self/root", "/proc/self/root/.."}) {
    EXPECT_EQ(Free({"read", way + secret}), "DONE host secret\n") << way;
    const Outcome outcome = Confined({"read", way + secret});
    EXPECT_TRUE(Strict() ? outcome.Denied(ENOENT) : outcome.Denied(EACCES)) << way << ": " << outcome.Describe();
  }
  std::filesystem::remove(secret);
}

TEST_P(InTier, WhatItSeesOfTheHostCannotBeWritten) {
  const std::string target = folder_ / "target";
  EXPECT_TRUE(Done(Free({"write", target})));
  std::filesystem::remove(target);
  const Outcome create = Confined({"write", target});
  EXPECT_TRUE(Strict() ? create.Denied(EROFS) : create.Denied(EACCES)) << create.Describe();
  EXPECT_FALSE(std::filesystem::exists(target));
  std::ofstream(target) << "";
  std::filesystem::permissions(target, std::filesystem::perms(0666));
  const Outcome change = Confined({"write", target});
  EXPECT_TRUE(Strict() ? change.Denied(EROFS) : change.Denied(EACCES)) << change.Describe();
  EXPECT_EQ(std::filesystem::file_size(target), 0U);
}

TEST_P(InTier, AMountBelowWhatItSeesCannotBeWrittenEither) {
  struct Mount {
    explicit Mount(std::string path) : at(std::move(path)) {
      std::filesystem::create_directory(at);
      made = ::mount("none", at.c_str(), "tmpfs", 0, "mode=0777,size=1M") == 0;
    }
    ~Mount() { ::umount2(at.c_str(), MNT_DETACH); }
    std::string at;
    bool made = false;
  };
  const Mount mount(folder_ / "below");
  ASSERT_TRUE(mount.made);
  EXPECT_TRUE(Done(Free({"write", mount.at + "/free"})));
  const Outcome outcome = Confined({"write", mount.at + "/confined"});
  EXPECT_TRUE(Strict() ? outcome.Denied(EROFS) : outcome.Denied(EACCES)) << outcome.Describe();
}

TEST_P(InTier, AModeOfTheHostCannotBeChangedThoughItsOwn) {
  const std::string target = folder_ / "owned";
  std::ofstream(target) << "";
  ASSERT_EQ(::chown(target.c_str(), kPluginUid, kPluginUid), 0);
  ASSERT_EQ(::chmod(target.c_str(), 0600), 0);
  const Outcome outcome = Confined({"chmod", target});
  EXPECT_TRUE(outcome.Denied(Strict() ? EROFS : EPERM)) << outcome.Describe();
  EXPECT_TRUE(Done(Free({"chmod", target})));
}

TEST_P(InTier, TheScratchFolderIsItsOwnAndEndsWithIt) {
  const std::filesystem::path parent = folder_ / "scratch";
  std::filesystem::create_directory(parent);
  LauncherOptions options;
  options.scratch_root = parent;
  auto launcher = Launcher::Create(features_, options);
  ASSERT_TRUE(launcher.ok()) << launcher.error().message();
  launcher_ = std::move(*launcher);
  const Outcome outcome = Confined({"fill", "1"});
  EXPECT_TRUE(outcome.Done()) << outcome.Describe();
  // What is there now is the next plugin's, and has nothing of this one's.
  for (const auto& entry : std::filesystem::directory_iterator(parent))
    EXPECT_TRUE(std::filesystem::is_empty(entry)) << entry.path();
  launcher_.reset();
  EXPECT_TRUE(std::filesystem::is_empty(parent));
  EXPECT_FALSE(std::filesystem::exists("/tmp/fill"));
}

TEST_F(AttackTest, StrictScratchIsBounded) {
  const Outcome outcome =
      Confined(Tier::kStrict, {"fill", "64"}, [](SandboxSpec& spec) { spec.limits.scratch_bytes = 8U << 20U; });
  EXPECT_TRUE(outcome.Denied(ENOSPC)) << outcome.Describe();
}

TEST_P(InTier, AFileIsBounded) {
  const Outcome outcome = Confined({"fill", "8"}, [](SandboxSpec& spec) { spec.limits.file_bytes = 2U << 20U; });
  EXPECT_TRUE(outcome.Denied(EFBIG)) << outcome.Describe();
}

// --- network ------------------------------------------------------------------------------------

// A socket of the host on a port of the kernel's choice.
struct HostSocket {
  UniqueFd fd;
  std::string port;
};

HostSocket Listen(int type) {
  HostSocket host;
  host.fd.Reset(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(host.fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  if (type == SOCK_STREAM) {
    EXPECT_EQ(::listen(host.fd.get(), 8), 0);
  }
  EXPECT_EQ(::getsockname(host.fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  host.port = std::to_string(ntohs(address.sin_port));
  return host;
}

TEST_P(InTier, NoConnectionLeavesTheCompartment) {
  const HostSocket host = Listen(SOCK_STREAM);
  EXPECT_TRUE(Done(Free({"connect", host.port})));
  ASSERT_GE(UniqueFd(::accept(host.fd.get(), nullptr, nullptr)).get(), 0);
  const Outcome outcome = Confined({"connect", host.port});
  EXPECT_FALSE(outcome.Done()) << outcome.Describe();
  EXPECT_TRUE(outcome.Denied(EACCES)) << outcome.Describe();
  EXPECT_LT(UniqueFd(::accept(host.fd.get(), nullptr, nullptr)).get(), 0);
}

TEST_P(InTier, FastOpenIsNoWayAroundConnect) {
  const HostSocket host = Listen(SOCK_STREAM);
  for (const char* const act : {"fastopen", "fastopen-sendmsg", "fastopen-sendmmsg"}) {
    EXPECT_TRUE(Done(Free({act, host.port}))) << act;
    const Outcome outcome = Confined({act, host.port});
    EXPECT_TRUE(outcome.Denied(EOPNOTSUPP)) << act << ": " << outcome.Describe();
  }
}

// Landlock watches TCP and no other protocol; of netlink only routes may be asked for.
TEST_P(InTier, NoSocketOfAnotherProtocolIsMade) {
  const std::string stream = std::to_string(SOCK_STREAM);
  const std::string raw = std::to_string(SOCK_RAW);
  const std::string inet = std::to_string(AF_INET);
  const std::string netlink = std::to_string(AF_NETLINK);
  const std::vector<std::vector<std::string>> acts = {
      {"socket", inet, stream, std::to_string(IPPROTO_MPTCP)},
      {"socket", inet, stream, std::to_string(IPPROTO_SCTP)},
      {"socket", netlink, raw, std::to_string(NETLINK_KOBJECT_UEVENT)},
      {"socket", netlink, raw, std::to_string(NETLINK_AUDIT)},
      {"socket", std::to_string(AF_VSOCK), stream, "0"},
  };
  for (const auto& act : acts) {
    const Outcome outcome = Confined(act);
    EXPECT_TRUE(outcome.Denied(EPROTONOSUPPORT) || outcome.Denied(EAFNOSUPPORT) || outcome.Denied(EACCES))
        << act[1] << " " << act[3] << ": " << outcome.Describe();
  }
  // Not because the kernel has none.
  EXPECT_TRUE(Done(Free(acts[0])));
  EXPECT_TRUE(Done(Free(acts[2])));
}

TEST_P(InTier, NoDatagramLeavesTheCompartment) {
  const HostSocket host = Listen(SOCK_DGRAM);
  char byte = 0;
  EXPECT_TRUE(Done(Free({"datagram", host.port})));
  EXPECT_EQ(::recv(host.fd.get(), &byte, 1, 0), 1);
  const Outcome outcome = Confined({"datagram", host.port});
  EXPECT_TRUE(Strict() || outcome.Denied(EACCES)) << outcome.Describe();
  EXPECT_EQ(::recv(host.fd.get(), &byte, 1, 0), -1) << "it arrived";
}

TEST_P(InTier, NoUnixSocketOfTheHostIsReached) {
  const std::string name = "bulkhead-attack-" + std::to_string(::getpid());
  const UniqueFd host(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  ASSERT_EQ(::bind(host.get(), reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
            0);
  ASSERT_EQ(::listen(host.get(), 8), 0);
  EXPECT_TRUE(Done(Free({"unix", "@" + name})));
  const Outcome outcome = Confined({"unix", "@" + name});
  EXPECT_TRUE(Strict() ? outcome.Denied(ECONNREFUSED) : outcome.Denied(EACCES)) << outcome.Describe();
}

TEST_P(InTier, OnlyDeclaredPortsAreBound) {
  const auto port = static_cast<uint16_t>(19'500 + ::getpid() % 1000 * 2);
  const auto declare = [port](SandboxSpec& spec) { spec.ports = {port}; };
  EXPECT_TRUE(Done(Free({"bind", std::to_string(port + 1)})));
  const Outcome other = Confined({"bind", std::to_string(port + 1)}, declare);
  EXPECT_TRUE(other.Denied(EACCES)) << other.Describe();
  const Outcome own = Confined({"bind", std::to_string(port)}, declare);
  EXPECT_TRUE(own.Done()) << own.Describe();
}

TEST_F(AttackTest, NoPortOfTheHostIsTakenWithoutBindingIt) {
  EXPECT_TRUE(Done(Free({"listen-unbound"})));
  const Outcome outcome = Confined(Tier::kRestricted, {"listen-unbound"});
  EXPECT_TRUE(outcome.Denied(EACCES)) << outcome.Describe();
}

TEST_P(InTier, SharedMemoryOfTheHostIsOutOfReach) {
  const key_t key = 0x42000000 + ::getpid();  // its own: both tiers are tried at once
  const int segment = ::shmget(key, 4096, IPC_CREAT | 0666);
  ASSERT_GE(segment, 0);
  const std::vector<std::string> act = {"shmget", std::to_string(key)};
  const std::string free = Free(act);
  const Outcome outcome = Confined(act);
  ::shmctl(segment, IPC_RMID, nullptr);
  EXPECT_TRUE(Done(free)) << free;
  EXPECT_TRUE(outcome.Denied(Strict() ? ENOENT : ENOSYS)) << outcome.Describe();
}

// --- what it has of the agent -------------------------------------------------------------------

TEST_P(InTier, NothingOfTheAgentIsInherited) {
  // An agent that was started carelessly.
  const mode_t mask = ::umask(0);
  std::vector<gid_t> groups(64);
  groups.resize(static_cast<size_t>(std::max(0, ::getgroups(64, groups.data()))));
  const std::array<gid_t, 2> more = {4, 27};
  ASSERT_EQ(::setgroups(more.size(), more.data()), 0);
  const UniqueFd secret(::fcntl(UniqueFd(::open("/etc/shadow", O_RDONLY | O_CLOEXEC)).get(), F_DUPFD, 40));
  ASSERT_GE(secret.get(), 40);
  auto launcher = Launcher::Create(features_, {});
  ASSERT_TRUE(launcher.ok());
  launcher_ = std::move(*launcher);
  const std::string free = Free({"inherited"}, 0);
  const Outcome outcome = Confined({"inherited"});
  ::umask(mask);
  ASSERT_EQ(::setgroups(groups.size(), groups.data()), 0);
  EXPECT_NE(free.find(" 40"), std::string::npos) << free;
  EXPECT_NE(free.find("umask 000, groups 2, session other's"), std::string::npos) << free;
  EXPECT_EQ(outcome.out, "DONE fds 0 1 2, umask 022, groups 0, session own\n") << outcome.Describe();
}

TEST_P(InTier, ADeviceCannotBeMade) {
  const std::string path = folder_ / "mem";
  EXPECT_TRUE(Done(Free({"make-device", path}, 0)));
  std::filesystem::remove(path);
  const Outcome outcome = Confined({"make-device", path});
  EXPECT_EQ(outcome.report.cause, Cause::kSeccomp) << outcome.Describe();
}

TEST_P(InTier, APersonaWithoutAddressRandomisationIsNotHad) {
  const std::string no_randomisation = "0040000";
  EXPECT_TRUE(Done(Free({"personality", no_randomisation})));
  const Outcome outcome = Confined({"personality", no_randomisation});
  EXPECT_EQ(outcome.report.cause, Cause::kSeccomp) << outcome.Describe();
  EXPECT_TRUE(Confined({"personality", "ffffffff"}).Done());
}

// --- privileges ---------------------------------------------------------------------------------

TEST_P(InTier, NoCapabilityIsLeftInAnySet) {
  const Outcome outcome = Confined({"capabilities"});
  EXPECT_TRUE(outcome.Done()) << outcome.Describe();
  for (const char* const set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_NE(outcome.out.find(std::string(set) + ":\t0000000000000000"), std::string::npos) << outcome.Describe();
  }
}

TEST_P(InTier, ASetuidProgramGivesNothing) {
  const std::string program = folder_ / "setuid";
  std::filesystem::copy_file(probe_, program);
  ASSERT_EQ(::chmod(program.c_str(), 04755), 0);
  EXPECT_EQ(Free({"exec", program, "ids"}), "DONE 8737 0\n");
  const Outcome outcome = Confined({"exec", program, "ids"});
  EXPECT_EQ(outcome.out, "DONE 8737 8737\n") << outcome.Describe();
}

TEST_P(InTier, AnotherUserCannotBeTaken) {
  EXPECT_TRUE(Done(Free({"setuid", "0"}, 0)));
  for (const char* const uid : {"0", "1000"}) {
    const Outcome outcome = Confined({"setuid", uid});
    EXPECT_TRUE(outcome.Denied(EPERM) || outcome.Denied(EINVAL)) << outcome.Describe();
  }
}

// --- system calls -------------------------------------------------------------------------------

struct NamedCall {
  const char* name;
  long number;
};

constexpr auto kForbidden = std::to_array<NamedCall>({
    {"mount", SYS_mount},
    {"umount2", SYS_umount2},
    {"pivot_root", SYS_pivot_root},
    {"chroot", SYS_chroot},
    {"unshare", SYS_unshare},
    {"setns", SYS_setns},
    {"open_tree", SYS_open_tree},
    {"move_mount", SYS_move_mount},
    {"fsopen", SYS_fsopen},
    {"bpf", SYS_bpf},
    {"perf_event_open", SYS_perf_event_open},
    {"userfaultfd", SYS_userfaultfd},
    {"keyctl", SYS_keyctl},
    {"add_key", SYS_add_key},
    {"request_key", SYS_request_key},
    {"init_module", SYS_init_module},
    {"finit_module", SYS_finit_module},
    {"delete_module", SYS_delete_module},
    {"kexec_load", SYS_kexec_load},
    {"reboot", SYS_reboot},
    {"swapon", SYS_swapon},
    {"settimeofday", SYS_settimeofday},
    {"clock_settime", SYS_clock_settime},
    {"adjtimex", SYS_adjtimex},
    {"sethostname", SYS_sethostname},
    {"open_by_handle_at", SYS_open_by_handle_at},
    {"name_to_handle_at", SYS_name_to_handle_at},
    {"quotactl", SYS_quotactl},
    {"syslog", SYS_syslog},
    {"kcmp", SYS_kcmp},
    {"process_vm_writev", SYS_process_vm_writev},
    {"pidfd_getfd", SYS_pidfd_getfd},
    {"fanotify_init", SYS_fanotify_init},
    {"vhangup", SYS_vhangup},
});

TEST_P(InTier, ForbiddenCallsKillAndAreNamed) {
  for (const NamedCall& call : kForbidden) {
    const Outcome outcome = Confined({"call", std::to_string(call.number)});
    EXPECT_EQ(outcome.report.cause, Cause::kSeccomp) << call.name << ": " << outcome.Describe();
    EXPECT_EQ(outcome.report.syscall, call.name) << outcome.Describe();
  }
}

TEST_P(InTier, WhatRuntimesOnlyTryIsAnswered) {
  for (const long call : {SYS_io_uring_setup, SYS_clone3}) {
    const Outcome outcome = Confined({"call", std::to_string(call)});
    EXPECT_TRUE(outcome.Denied(ENOSYS)) << outcome.Describe();
  }
}

TEST_P(InTier, ANewUserNamespaceKills) {
  const Outcome outcome = Confined({"new-user-namespace"});
  EXPECT_EQ(outcome.report.cause, Cause::kSeccomp) << outcome.Describe();
  EXPECT_EQ(outcome.report.syscall, "clone");
}

#if defined(__x86_64__)
TEST_P(InTier, ACallOfAnotherArchitectureKills) {
  const Outcome outcome = Confined({"foreign-call"});
  EXPECT_FALSE(outcome.Done()) << outcome.Describe();
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.report.cause, Cause::kExited) << outcome.Describe();
}
#endif

TEST_P(InTier, TerminalInputCannotBePushed) {
  // Outside, the call reaches the driver, which finds no terminal.
  for (const char* const act : {"tiocsti", "tioclinux"}) {
    EXPECT_EQ(ErrnoOf(Free({act})), "DENIED " + std::to_string(ENOTTY)) << act;
    const Outcome outcome = Confined({act});
    EXPECT_TRUE(outcome.Denied(EPERM)) << act << ": " << outcome.Describe();
  }
}

// --- resources ----------------------------------------------------------------------------------

TEST_P(InTier, MemoryIsBounded) {
  EXPECT_TRUE(Done(Free({"allocate", "256"})));
  const Outcome outcome =
      Confined({"allocate", "256"}, [](SandboxSpec& spec) { spec.limits.memory_bytes = 64U << 20U; });
  EXPECT_FALSE(outcome.Done()) << outcome.Describe();
  EXPECT_TRUE(outcome.report.cause == Cause::kMemory || outcome.Denied(ENOMEM)) << outcome.Describe();
}

TEST_P(InTier, TheProcessorIsBounded) {
  const Outcome outcome = Confined({"spin", "500"}, [](SandboxSpec& spec) { spec.limits.cpu_millis = 100; });
  ASSERT_TRUE(outcome.Done()) << outcome.Describe();
  EXPECT_LE(std::stoi(outcome.out.substr(5)), 35) << "percent, of the 10 that it may have";
}

TEST_P(InTier, OpenFilesAreBounded) {
  const auto few = [](SandboxSpec& spec) { spec.limits.open_files = 100; };
  EXPECT_TRUE(Done(Free({"open-many", "200"})));
  EXPECT_TRUE(Confined({"open-many", "90"}, few).Done());
  const Outcome outcome = Confined({"open-many", "200"}, few);
  EXPECT_TRUE(outcome.Denied(EMFILE)) << outcome.Describe();
}

// A core file would hold the token; a queue's memory is the kernel's and nobody's limit but this one.
TEST_P(InTier, NoCoreFileAndNoMessageQueue) {
  for (const int resource : {RLIMIT_CORE, RLIMIT_MSGQUEUE}) {
    EXPECT_NE(Free({"limit", std::to_string(resource)}), "DONE 0\n") << "there is nothing to take away";
    EXPECT_EQ(Confined({"limit", std::to_string(resource)}).out, "DONE 0\n") << resource;
  }
}

TEST_F(AttackTest, ProcessesAreBoundedInStrictWithoutAControlGroupToo) {
  KernelFeatures poorer = features_;
  poorer.cgroup_version = 0;
  auto launcher = Launcher::Create(poorer, {});
  ASSERT_TRUE(launcher.ok());
  launcher_ = std::move(*launcher);
  const Outcome outcome =
      Confined(Tier::kStrict, {"fork-many", "200"}, [](SandboxSpec& spec) { spec.limits.pids = 32; });
  EXPECT_NE(outcome.out.find("DENIED after"), std::string::npos) << outcome.Describe();
}

TEST_P(InTier, ProcessesAreBoundedAndAllEnd) {
  const Outcome outcome = Confined({"fork-many", "500"}, [](SandboxSpec& spec) { spec.limits.pids = 32; });
  EXPECT_NE(outcome.out.find("DENIED after"), std::string::npos) << outcome.Describe();
  // The report comes after every process of the compartment is gone.
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::error_code error;
    const auto program = std::filesystem::read_symlink(entry.path() / "exe", error);
    EXPECT_TRUE(error || program != probe_) << entry.path();
  }
}

}  // namespace
}  // namespace bulkhead::sandbox

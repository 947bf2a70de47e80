// The plugin's first process, from fork to exec. Nothing here may be skipped or reordered: each step
// needs a right that a later one gives up, or must see what a later one hides. The steps end in a
// reading back of the result from the kernel; only if that shows everything in force does the plugin start.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "runner/sandbox/init/init.h"
#include "runner/sandbox/landlock_apply.h"
#include "runner/sandbox/packet.h"
#include "runner/sandbox/protocol.h"
#include "runner/sandbox/seccomp.h"
#include "runner/sandbox/signal_guard.h"

namespace bulkhead::sandbox::init {

namespace {

constexpr int kReportFd = 3;
constexpr size_t kStackBytes = 128U << 10U;
constexpr unsigned long kLockedBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                      SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                      SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
// Anyone may open it for writing; the rules of Landlock leave it out.
constexpr const char* kProbeFile = "/dev/full";

void Check(bool good, const char* step) {
  if (!good) Fail(kReportFd, step, errno);
}

void SetLimit(int resource, uint64_t most, const char* name) {
  rlimit limit = {most, most};
  rlimit now = {};
  // An unprivileged launcher may only lower what it has.
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &now) == 0 && now.rlim_max < limit.rlim_max)
    limit.rlim_cur = limit.rlim_max = now.rlim_max;
  Check(::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0, name);
}

void SetLimits(const Plan& plan) {
  SetLimit(RLIMIT_NOFILE, plan.limits.open_files, "RLIMIT_NOFILE");
  SetLimit(RLIMIT_FSIZE, plan.limits.file_bytes, "RLIMIT_FSIZE");
  SetLimit(RLIMIT_CORE, 0, "RLIMIT_CORE");
  SetLimit(RLIMIT_MSGQUEUE, 0, "RLIMIT_MSGQUEUE");
  // Counted for each user of a user namespace, so that it is the compartment's own only there.
  if (plan.tier == Tier::kStrict) SetLimit(RLIMIT_NPROC, plan.limits.pids, "RLIMIT_NPROC");
  if (plan.watch_memory) SetLimit(RLIMIT_DATA, plan.limits.memory_bytes, "RLIMIT_DATA");
}

bool HasCapability(int capability) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[capability / 32].effective & (1U << (static_cast<unsigned>(capability) % 32))) != 0;
}

// While there still is CAP_SETPCAP. A launcher without it has nothing to drop: no_new_privs keeps the
// bounding set from mattering.
bool DropBoundingSet() {
  if (!HasCapability(CAP_SETPCAP)) return false;
  for (int capability = 0, kept = 0; (kept = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0; ++capability) {
    Check(kept == 0 || ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0, "dropping the bounding set");
  }
  Check(::prctl(PR_SET_SECUREBITS, kLockedBits, 0, 0, 0) == 0, "locking securebits");
  return true;
}

void SwitchUser(const Plan& plan) {
  const bool strict = plan.tier == Tier::kStrict;
  if (!strict && !plan.switch_user) return;
  if (!plan.deny_setgroups) Check(::setgroups(0, nullptr) == 0, "setgroups");
  Check(::setresgid(plan.gid, plan.gid, plan.gid) == 0, "setresgid");
  Check(::setresuid(plan.uid, plan.uid, plan.uid) == 0, "setresuid");
}

void DropCapabilities() {
  Check(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, "clearing the ambient set");
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  Check(::syscall(SYS_capset, &header, none) == 0, "dropping all capabilities");
}

// Joins the control groups, and leaves the ruleset in the place of the socket over which it came.
void TakeSupplies(const Plan& plan, int report) {
  std::array<int, kMostSupplies> fds = {};
  size_t count = 0;
  char byte = 0;
  const ssize_t size = ReceivePacket(kSuppliesFd, &byte, sizeof byte, 0, fds, &count);
  if (size <= 0 || count != plan.cgroup_files + (plan.landlock_comes ? 1 : 0))
    Fail(report, "what the launcher had to make did not come", size < 0 ? errno : 0);
  for (size_t i = 0; i < plan.cgroup_files; ++i) {
    if (::write(fds[i], "0", 1) != 1) Fail(report, "joining the cgroup", errno);
  }
  if (!plan.landlock_comes) {
    ::close(kSuppliesFd);
  } else if (::dup3(fds[count - 1], kSuppliesFd, O_CLOEXEC) < 0) {
    Fail(report, "dup3", errno);
  }
}

// Landlock and seccomp do not reach what is already open.
void CloseAll(const Plan& plan, int report) {
  if (report != kReportFd) Check(::dup3(report, kReportFd, O_CLOEXEC) == kReportFd, "dup3");
  ::close(kPlanFd);
  if (!plan.keep_token_fd) ::close(kTokenFd);
  Check(::syscall(SYS_close_range, kSuppliesFd + 1, ~0U, 0) == 0, "close_range");
}

int MakeRuleset(const Plan& plan) {
  const LandlockView view = {plan.handled_fs,        plan.handled_net,           plan.scoped,
                             plan.path_rules.data(), plan.path_rules.size(),     plan.port_rules.data(),
                             plan.port_rules.size(), plan.landlock_paths.data(), plan.landlock_paths.size()};
  size_t failed = 0;
  const int ruleset = MakeLandlockRuleset(view, &failed);
  if (ruleset >= 0) return ruleset;
  std::string step = "Landlock";
  if (failed < plan.path_rules.size())
    step += std::string(" rule for ") + (plan.landlock_paths.c_str() + plan.path_rules[failed].path);
  Fail(kReportFd, step, -ruleset);
}

void ApplyLandlockPlan(const Plan& plan) {
  if (!plan.landlock) return;
  const UniqueFd ruleset(plan.landlock_comes ? kSuppliesFd : MakeRuleset(plan));
  if (const int error = EnterLandlock(ruleset.get()); error != 0) Fail(kReportFd, "Landlock", -error);
}

int InstallFilter(const sock_filter* code, size_t length, unsigned flags) {
  sock_fprog program = {static_cast<unsigned short>(length), const_cast<sock_filter*>(code)};
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

// Returns the listener; none when the filter kills by itself.
UniqueFd ApplyFilters(const Plan& plan) {
  if (plan.signal_guard) {
    sock_filter guard[kSignalGuardLength];
    BuildSignalGuard(::getpid(), guard);
    Check(InstallFilter(guard, kSignalGuardLength, 0) == 0, "the signal guard (seccomp)");
  }
  const auto* const code = reinterpret_cast<const sock_filter*>(plan.filter.data());
  const size_t length = plan.filter.size() / sizeof(sock_filter);
  const int result = InstallFilter(code, length, plan.filter_notifies ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
  Check(result >= 0, "seccomp");
  return UniqueFd(plan.filter_notifies ? result : -1);
}

// --- reading back ---------------------------------------------------------------------------------

bool NoCapabilityLeft(bool bounding_dropped) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  for (const __user_cap_data_struct& half : data) {
    if ((half.effective | half.permitted | half.inheritable) != 0) return false;
  }
  // Those that the kernel has: it answers EINVAL to the first that it does not know (prctl(2)).
  int capability = 0;
  for (int bounding = 0; (bounding = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0; ++capability) {
    if (bounding != 0 && bounding_dropped) return false;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) != 0) return false;
  }
  return capability > CAP_SYS_ADMIN;
}

uint8_t DifferentNamespaces(const Plan& plan) {
  uint8_t different = 0;
  for (size_t i = 0; i < kNamespaces.size(); ++i) {
    struct stat info = {};
    const std::string path = std::string("/proc/self/ns/") + kNamespaces[i];
    const bool differs = ::stat(path.c_str(), &info) == 0 && plan.launcher_namespaces[i] != 0 &&
                         info.st_ino != plan.launcher_namespaces[i];
    if (differs) different = static_cast<uint8_t>(different | (1U << i));
  }
  return different;
}

AttestationMessage ReadBack(const Plan& plan, bool bounding_dropped, bool probe_opened_before) {
  AttestationMessage proof;
  proof.no_new_privs = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  proof.seccomp_filter = ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
  proof.capabilities_empty = NoCapabilityLeft(bounding_dropped);
  proof.securebits_locked = ::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == static_cast<int>(kLockedBits);
  proof.probe_denied = ::syscall(kProbeSyscall, nullptr) == -1 && errno == kProbeErrno;
  if (probe_opened_before) {
    const UniqueFd probe(::open(kProbeFile, O_WRONLY | O_CLOEXEC));
    proof.landlock_denied = !probe.valid() && errno == EACCES;
  }
  if (plan.tier == Tier::kStrict) proof.namespaces = DifferentNamespaces(plan);
  return proof;
}

void Insist(const Plan& plan, const AttestationMessage& proof, bool bounding_dropped) {
  errno = 0;
  Check(proof.no_new_privs != 0, "reading back: no_new_privs is not set");
  Check(proof.seccomp_filter != 0, "reading back: no seccomp filter is in force");
  Check(proof.capabilities_empty != 0, "reading back: a capability is left");
  Check(!bounding_dropped || proof.securebits_locked != 0, "reading back: securebits are not locked");
  Check(proof.probe_denied != 0, "reading back: a forbidden system call was not refused");
  Check(!plan.landlock || proof.landlock_denied != 0, "reading back: Landlock refused nothing");
  constexpr uint8_t kAll = (1U << kNamespaces.size()) - 1;
  Check(plan.tier != Tier::kStrict || proof.namespaces == kAll, "reading back: a namespace is the launcher's");
}

// --- exec -----------------------------------------------------------------------------------------

std::vector<char*> Pointers(const std::vector<std::string>& list) {
  std::vector<char*> pointers;
  pointers.reserve(list.size() + 1);
  for (const std::string& text : list) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void Execute(const Plan& plan) {
  const std::vector<char*> argv = Pointers(plan.argv);
  const std::vector<char*> env = Pointers(plan.env);
  const std::string& program = plan.argv.front();
  int error = ENOENT;
  if (program.find('/') != std::string::npos) {
    ::execve(program.c_str(), argv.data(), env.data());
    error = errno;
  } else {
    std::string path = "/usr/local/bin:/usr/bin:/bin";
    for (const std::string& variable : plan.env) {
      if (variable.starts_with("PATH=")) path = variable.substr(5);
    }
    for (size_t begin = 0; begin <= path.size();) {
      const size_t end = std::min(path.find(':', begin), path.size());
      if (end > begin) {
        ::execve((path.substr(begin, end - begin) + "/" + program).c_str(), argv.data(), env.data());
        if (errno != ENOENT && errno != ENOTDIR) error = errno;
      }
      begin = end + 1;
    }
  }
  Fail(kReportFd, "starting " + program, error);
}

struct Task {
  const Plan& plan;
  int report;
  int shims_report;
  pid_t shim;
};

int RunTask(void* argument) {
  const Task& task = *static_cast<const Task*>(argument);
  ::close(task.shims_report);
  BecomePlugin(task.plan, task.report, task.shim);
}

}  // namespace

Started StartPlugin(const Plan& plan) {
  int report[2] = {};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) != 0) Fail(kControlFd, "socketpair", errno);
  const pid_t shim = ::getpid();
  // Before there is a child: a SIGCHLD that comes unblocked is ignored, and the shim would never know of its end.
  sigset_t child_signal;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  if (::sigprocmask(SIG_BLOCK, &child_signal, nullptr) != 0) Fail(kControlFd, "sigprocmask", errno);
  // As vfork(2): until exec or the end the child uses this process's memory, on a stack of its own, while this process
  // sleeps. Nothing is copied that exec would throw away, and there is no one but this code in it till then.
  alignas(16) static std::array<char, kStackBytes> stack;
  Task task = {plan, report[1], report[0], shim};
  const pid_t pid = ::clone(RunTask, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &task);
  if (pid < 0) Fail(kControlFd, "clone", errno);
  ::close(report[1]);
  return {pid, UniqueFd(report[0])};
}

void BecomePlugin(const Plan& plan, int report, pid_t shim) {
  // 1. A session of its own: no terminal, no foreign process group.
  ::setsid();
  //    And for one that is called no precedence: when it wakes up it does not preempt the shim that woke it (sched(7)).
  if (plan.serve_port != 0) {
    const sched_param no_priority = {};
    ::sched_setscheduler(0, SCHED_BATCH, &no_priority);
  }
  // 2. Joined before there is anything to account.
  TakeSupplies(plan, report);
  // 3. From here on the report is on descriptor 3, and there is nothing else but 0, 1, 2 and the token.
  CloseAll(plan, report);
  SetLimits(plan);
  ::umask(022);
  // 4. Privileges: what needs them first, then all of them.
  const bool bounding_dropped = DropBoundingSet();
  SwitchUser(plan);
  //    A change of user makes a process dumpable where the host says so (proc(5), suid_dumpable).
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  DropCapabilities();
  Check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  // 5. Dies with the shim. After the change of user, which clears it (prctl(2)); the shim may be gone already.
  Check(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "PR_SET_PDEATHSIG");
  const bool shim_is_there = plan.tier == Tier::kStrict ? ::getppid() == 1 : ::getppid() == shim;
  if (!shim_is_there) ::_exit(125);
  if (::chdir(plan.working_dir.empty() ? "/" : plan.working_dir.c_str()) != 0)
    Fail(kReportFd, "chdir to " + plan.working_dir, errno);
  // 6. The file system and the network, then the system calls: the filter refuses Landlock's own.
  const bool probe_opened = UniqueFd(::open(kProbeFile, O_WRONLY | O_CLOEXEC)).valid();
  ApplyLandlockPlan(plan);
  const UniqueFd listener = ApplyFilters(plan);
  // 7. Proved, reported, started.
  const AttestationMessage proof = ReadBack(plan, bounding_dropped, probe_opened);
  Insist(plan, proof, bounding_dropped);
  if (!SendPacket(kReportFd, &proof, sizeof proof, listener)) ::_exit(125);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  Execute(plan);
}

}  // namespace bulkhead::sandbox::init

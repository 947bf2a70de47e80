#include "runner/sandbox/seccomp.h"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "runner/base/io.h"
#include "runner/base/text.h"
#include "runner/sandbox/bpf_prefix.h"

namespace bulkhead::sandbox {

namespace {

constexpr std::array<std::string_view, 1> kProfiles = {"default"};

// Calls that need no condition. Grouped as a reader looks for them.
// clang-format off
constexpr auto kAllowed = std::to_array<const char*>({
    // processes and threads
    "execve", "execveat", "exit", "exit_group", "fork", "vfork", "wait4", "waitid", "getpid", "getppid", "gettid", "getpgid", "getpgrp",
    "setpgid", "getsid", "setsid", "set_tid_address", "set_robust_list", "get_robust_list", "futex", "futex_waitv", "rseq", "membarrier",
    "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_setparam", "sched_getscheduler", "sched_setscheduler",
    "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", "sched_getattr", "sched_setattr", "getpriority",
    "setpriority", "ioprio_get", "ioprio_set", "getcpu", "prctl", "arch_prctl", "getrlimit", "setrlimit", "prlimit64", "getrusage", "times",
    "pidfd_open", "pidfd_send_signal", "restart_syscall",
    // signals
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo", "sigaltstack", "kill", "tkill", "tgkill", "pause", "signalfd", "signalfd4", "alarm", "getitimer", "setitimer",
    // users: without capabilities they only give up
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid", "setgid", "setreuid", "setregid", "setresuid",
    "setresgid", "setfsuid", "setfsgid", "setgroups", "capget", "capset", "umask",
    // memory
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "msync", "mlock", "mlock2", "munlock", "mlockall", "munlockall",
    "get_mempolicy", "set_mempolicy", "mbind", "memfd_create", "pkey_alloc", "pkey_free", "pkey_mprotect", "remap_file_pages",
    // files
    "open", "openat", "openat2", "creat", "close", "close_range", "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv",
    "pwritev", "preadv2", "pwritev2", "lseek", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getcwd", "chdir", "fchdir", "getdents", "getdents64", "mkdir", "mkdirat", "rmdir", "unlink",
    "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "truncate", "ftruncate", "fallocate", "chmod",
    "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "futimesat", "utimensat", "fsync",
    "fdatasync", "sync_file_range", "syncfs", "fadvise64", "readahead", "flock", "fcntl", "dup", "dup2", "dup3", "pipe", "pipe2", "tee",
    "splice", "vmsplice", "sendfile", "copy_file_range", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "inotify_init", "inotify_init1",
    "inotify_add_watch", "inotify_rm_watch",
    // waiting
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "eventfd", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "timer_create", "timer_settime", "timer_gettime",
    "timer_getoverrun", "timer_delete",
    // sockets that exist; making one is conditional
    "socketpair", "accept", "accept4", "getsockname", "getpeername", "getsockopt", "setsockopt", "shutdown", "recvfrom", "recvmsg",
    "recvmmsg",
    // time, randomness, the system
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom", "uname", "sysinfo",
});
// clang-format on

// System V and POSIX shared memory, semaphores and queues: the compartment's own in strict; without an ipc
// namespace those of others.
// clang-format off
constexpr auto kInterprocess = std::to_array<const char*>({
    "shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open",
    "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
});
// clang-format on

struct Answer {
  const char* name;
  int error;
};

// What runtimes try first and do without.
constexpr auto kAnswered = std::to_array<Answer>({
    {"clone3", ENOSYS},          // glibc falls back to clone, whose flags a filter can see
    {"io_uring_setup", ENOSYS},  // libuv falls back to epoll; a ring would carry calls past this filter
    {"io_uring_enter", ENOSYS},
    {"io_uring_register", ENOSYS},
    {"landlock_create_ruleset", ENOSYS},
    {"landlock_add_rule", ENOSYS},
    {"landlock_restrict_self", ENOSYS},
    {"io_setup", ENOSYS},
    {"cachestat", ENOSYS},
    {"map_shadow_stack", ENOSYS},
    {"process_madvise", ENOSYS},
    {"seccomp", EPERM},
});

// Paths can't be filtered, and Landlock has no rule for these: without a mount namespace they would
// reach every file of the same user.
// clang-format off
constexpr auto kRefusedWithoutMounts = std::to_array<const char*>({
    "chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat", "utime", "utimes", "futimesat", "setxattr", "lsetxattr",
    "removexattr", "lremovexattr",
});
// clang-format on

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

Error Failed(const std::string& what, int negative_errno) {
  return ErrnoError("seccomp: " + what, -negative_errno);
}

// Adds rules and remembers the first failure.
class Builder {
 public:
  explicit Builder(uint32_t fallback) : context_(seccomp_init(fallback)) {
    if (context_ == nullptr) {
      Note("seccomp_init", -ENOMEM);
      return;
    }
    Note("bad architecture", seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    // no_new_privs is set, and checked, by bulkhead-init.
    Note("no_new_privs", seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_NNP, 0));
    // A binary search of the calls instead of one comparison after the other.
    Note("optimize", seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  }

  template <typename... Conditions>
  void Add(uint32_t action, const char* name, Conditions... conditions) {
    const int call = seccomp_syscall_resolve_name(name);
    // A call that this architecture, or this libseccomp, does not have can't be allowed and needs no answer.
    if (call == __NR_SCMP_ERROR || call < 0) return;
    const std::array<scmp_arg_cmp, sizeof...(conditions)> list = {conditions...};
    Note(name, seccomp_rule_add_array(context_.get(), action, call, static_cast<unsigned>(list.size()), list.data()));
  }
  void Allow(const char* name) { Add(SCMP_ACT_ALLOW, name); }
  void Answer(const char* name, int error) { Add(SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), name); }

  Result<SeccompProgram> Finish() {
    if (failure_.has_value()) return *failure_;
    BULKHEAD_ASSIGN(const UniqueFd file, Memory());
    if (const int result = seccomp_export_bpf(context_.get(), file.get()); result < 0) return Failed("export", result);
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return ErrnoError("lseek", errno);
    BULKHEAD_ASSIGN(std::string bpf, ReadAll(file.get(), 1U << 20U));
    return SeccompProgram{std::move(bpf)};
  }

 private:
  static Result<UniqueFd> Memory() {
    UniqueFd file(static_cast<int>(::syscall(SYS_memfd_create, "filter", 1U /* MFD_CLOEXEC */)));
    if (!file.valid()) return ErrnoError("memfd_create", errno);
    return file;
  }
  void Note(const char* what, int result) {
    if (result < 0 && !failure_.has_value()) failure_ = Failed(what, result);
  }
  Context context_;
  std::optional<Error> failure_;
};

scmp_arg_cmp Equal(unsigned argument, uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
scmp_arg_cmp Masked(unsigned argument, uint64_t mask, uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

bool Contains(std::span<const char* const> list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

void AddProcessRules(Builder& builder) {
  constexpr uint64_t kNewNamespaces =
      CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP;
  builder.Add(SCMP_ACT_ALLOW, "clone", Masked(0, kNewNamespaces, 0));
  // The two that ask or choose the ordinary one; a persona without address randomisation is not had.
  builder.Add(SCMP_ACT_ALLOW, "personality", Equal(0, 0));
  builder.Add(SCMP_ACT_ALLOW, "personality", Equal(0, 0xFFFFFFFFU));
  builder.Add(SCMP_ACT_ALLOW, "mknod", Masked(1, S_IFMT, S_IFIFO));
  builder.Add(SCMP_ACT_ALLOW, "mknodat", Masked(2, S_IFMT, S_IFIFO));
  builder.Answer("acct", kProbeErrno);
}

// Families, types and flags are the prefix's.
void AddSocketRules(Builder& builder, Tier tier, const KernelFeatures& features, std::span<const uint16_t> ports) {
  for (const char* const name : {"socket", "sendto", "sendmsg", "sendmmsg", "ioctl"}) builder.Allow(name);
  const bool landlock_watches = features.landlock_abi >= 4;
  if (tier == Tier::kStrict || landlock_watches) {
    builder.Allow("connect");
  } else {
    builder.Answer("connect", EACCES);
  }
  for (const char* const name : {"bind", "listen"}) {
    if (ports.empty() && tier == Tier::kRestricted) {
      builder.Answer(name, EACCES);
    } else {
      builder.Allow(name);
    }
  }
}

}  // namespace

std::vector<std::string_view> SeccompProfileNames() {
  return {kProfiles.begin(), kProfiles.end()};
}

Result<SeccompProgram> CompilePluginFilter(std::string_view profile, Tier tier, const KernelFeatures& features,
                                           std::span<const uint16_t> ports) {
  if (std::find(kProfiles.begin(), kProfiles.end(), profile) == kProfiles.end()) {
    return Error(Code::kInvalidInput,
                 "there is no seccomp profile \"" + EscapeForTerminal(profile) + "\"" + DidYouMean(profile, kProfiles));
  }
  if (!features.seccomp_filter) return Error(Code::kUnsupported, "this kernel has no seccomp filters");
  Builder builder(features.seccomp_user_notify ? SCMP_ACT_NOTIFY : SCMP_ACT_KILL_PROCESS);
  const bool by_path = tier == Tier::kStrict;
  for (const char* const name : kAllowed) {
    if (!by_path && Contains(kRefusedWithoutMounts, name)) continue;
    if (!by_path && features.landlock_abi < 3 && std::string_view(name) == "truncate") continue;
    builder.Allow(name);
  }
  if (!by_path) {
    for (const char* const name : kRefusedWithoutMounts) builder.Answer(name, EPERM);
    if (features.landlock_abi < 3) builder.Answer("truncate", EPERM);
  }
  for (const char* const name : kInterprocess) {
    if (tier == Tier::kStrict) {
      builder.Allow(name);
    } else {
      builder.Answer(name, ENOSYS);
    }
  }
  for (const auto& [name, error] : kAnswered) builder.Answer(name, error);
  AddProcessRules(builder);
  AddSocketRules(builder, tier, features, ports);
  BULKHEAD_ASSIGN(SeccompProgram program, builder.Finish());
  program.bpf.insert(0, BpfPrefix(tier));
  return program;
}

Result<SeccompProgram> CompileShimFilter() {
  Builder builder(SCMP_ACT_KILL_PROCESS);
  for (const char* const name : {"epoll_wait",     "epoll_pwait",
                                 "epoll_ctl",      "epoll_create1",
                                 "read",           "write",
                                 "readv",          "writev",
                                 "recvmsg",        "sendmsg",
                                 "sendto",         "recvfrom",
                                 "close",          "connect",
                                 "setsockopt",     "getsockopt",
                                 "shutdown",       "fcntl",
                                 "wait4",          "waitid",
                                 "kill",           "exit",
                                 "exit_group",     "mmap",
                                 "munmap",         "mremap",
                                 "madvise",        "brk",
                                 "futex",          "rt_sigaction",
                                 "rt_sigprocmask", "rt_sigreturn",
                                 "clock_gettime",  "gettimeofday",
                                 "getrandom",      "getpid",
                                 "gettid",         "getppid",
                                 "tgkill",         "timerfd_settime",
                                 "timerfd_create", "restart_syscall",
                                 "newfstatat",     "fstat",
                                 "getdents64",     "readlink",
                                 "readlinkat",     "lseek",
                                 "poll",           "sched_yield",
                                 "getuid",         "geteuid",
                                 "getgid",         "getegid",
                                 "prlimit64"}) {
    builder.Allow(name);
  }
  constexpr uint64_t kWriting = 3;  // O_WRONLY | O_RDWR
  builder.Add(SCMP_ACT_ALLOW, "openat", Masked(2, kWriting, 0));
  builder.Add(SCMP_ACT_ALLOW, "open", Masked(1, kWriting, 0));
  builder.Add(SCMP_ACT_ALLOW, "socket", Equal(0, AF_INET));
  builder.Add(SCMP_ACT_ALLOW, "socket", Equal(0, AF_INET6));
  builder.Add(SCMP_ACT_ALLOW, "sched_setscheduler", Equal(0, 0 /* itself */));
  // Memory that is written is never executed.
  builder.Add(SCMP_ACT_ALLOW, "mprotect", Masked(2, 4 /* PROT_EXEC */, 0));
  constexpr uint64_t kSeccompIoctls = '!';  // the type byte of SECCOMP_IOCTL_NOTIF_*
  builder.Add(SCMP_ACT_ALLOW, "ioctl", Masked(1, 0xFF00, kSeccompIoctls << 8U));
  return builder.Finish();
}

std::string SyscallName(int nr) {
  char* const name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
  if (name == nullptr) return "call " + std::to_string(nr);
  std::string text = name;
  std::free(name);  // NOLINT(cppcoreguidelines-no-malloc): libseccomp's strdup
  return text;
}

}  // namespace bulkhead::sandbox

#include "runner/sandbox/kernel_features.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runner/sandbox/cgroup.h"
#include "runner/sandbox/kernel_abi.h"

namespace bulkhead::sandbox {

namespace {

constexpr int kOtherNamespaces =
    CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

bool SeccompActionAvailable(uint32_t action) {
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

// What a trial child found out: the first step that failed, and its errno. Fits an exit code.
enum Step : int { kAllGood = 0, kUserNamespace = 1, kInnerNamespaces = 2, kFork = 3, kProc = 4 };

struct Trial {
  int step = kAllGood;
  int error_number = 0;
};

// fork(2) without its handlers: a sanitizer's would start a thread in the child, and a process with threads
// gets no user namespace (unshare(2)).
pid_t BareFork() {
  return static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

// In a child, since none of this can be undone. Only system calls: the caller may have threads.
Trial TryNamespaces() {
  int report[2] = {};
  if (::pipe2(report, O_CLOEXEC) != 0) return {kFork, errno};
  const pid_t child = BareFork();
  if (child == 0) {
    Trial trial;
    if (::unshare(CLONE_NEWUSER) != 0) {
      trial = {kUserNamespace, errno};
    } else if (::unshare(kOtherNamespaces) != 0) {
      trial = {kInnerNamespaces, errno};
    } else {
      // The pid namespace holds for children only.
      const pid_t inner = BareFork();
      if (inner == 0) {
        const bool mounted = ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                             ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
        trial = mounted ? Trial{} : Trial{kProc, errno};
        (void)!::write(report[1], &trial, sizeof trial);
        ::_exit(0);
      }
      if (inner > 0) {
        int status = 0;
        ::waitpid(inner, &status, 0);
        ::_exit(0);
      }
      trial = {kFork, errno};
    }
    (void)!::write(report[1], &trial, sizeof trial);
    ::_exit(0);
  }
  ::close(report[1]);
  Trial trial = {kFork, errno};
  if (child > 0) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    Trial found;
    if (::read(report[0], &found, sizeof found) == static_cast<ssize_t>(sizeof found)) trial = found;
  }
  ::close(report[0]);
  return trial;
}

std::string Reason(const char* layer, const std::string& what, int error_number) {
  return std::string(layer) + ": " + what + (error_number == 0 ? "" : ": " + std::string(std::strerror(error_number)));
}

}  // namespace

KernelFeatures ProbeKernel() {
  KernelFeatures features;
  features.root = ::geteuid() == 0;

  const long abi = ::syscall(abi::kSysLandlockCreateRuleset, nullptr, 0, abi::kLandlockCreateRulesetVersion);
  features.landlock_abi = abi > 0 ? static_cast<int>(abi) : 0;
  if (abi <= 0) features.reasons.push_back(Reason("file system", "the kernel offers no Landlock", errno));

  features.seccomp_filter = SeccompActionAvailable(SECCOMP_RET_KILL_PROCESS);
  if (!features.seccomp_filter)
    features.reasons.push_back(Reason("system calls", "the kernel offers no seccomp filters", errno));
  features.seccomp_user_notify = features.seccomp_filter && SeccompActionAvailable(SECCOMP_RET_USER_NOTIF);

  const Trial trial = TryNamespaces();
  features.user_namespaces = trial.step != kUserNamespace && trial.step != kFork;
  features.all_namespaces = trial.step == kAllGood || trial.step == kProc;
  features.mount_proc = trial.step == kAllGood;
  switch (trial.step) {
    case kUserNamespace:
      features.reasons.push_back(Reason("namespaces", "no user namespace can be made", trial.error_number));
      break;
    case kInnerNamespaces:
      features.reasons.push_back(
          Reason("namespaces", "no mount, pid, net, ipc, uts and cgroup namespaces can be made", trial.error_number));
      break;
    case kFork:
      features.reasons.push_back(Reason("namespaces", "no child could be started to try", trial.error_number));
      break;
    case kProc:
      features.reasons.push_back(
          Reason("namespaces", "a fresh /proc can't be mounted (is /proc masked here?)", trial.error_number));
      break;
    default: break;
  }

  const CgroupPlace place = FindCgroupPlace();
  features.cgroup_version = place.version;
  if (place.version == 0)
    features.reasons.push_back(Reason("resources", place.reason.empty() ? "no cgroup can be made" : place.reason, 0));
  return features;
}

}  // namespace bulkhead::sandbox

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runner/sandbox/init/init.h"
#include "runner/sandbox/packet.h"
#include "runner/sandbox/protocol.h"

namespace bulkhead::sandbox::init {

namespace {

constexpr uint64_t kAllNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

void WriteProc(pid_t pid, const char* file, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  // One write: the kernel takes a map only whole.
  if (!fd.valid() || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    Fail(kControlFd, std::string("writing ") + file + " of the user namespace", errno);
  }
}

std::string MapText(const std::vector<IdRange>& ranges) {
  std::string text;
  for (const IdRange& range : ranges)
    text += std::to_string(range.inside) + " " + std::to_string(range.outside) + " 1\n";
  return text;
}

bool MapsRoot(const std::vector<IdRange>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [](const IdRange& range) { return range.inside == 0; });
}

// Without it nothing reaches 127.0.0.1.
void RaiseLoopback() {
  const UniqueFd socket_fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!socket_fd.valid() || ::ioctl(socket_fd.get(), SIOCSIFFLAGS, &request) != 0)
    Fail(kControlFd, "raising the loopback interface", errno);
}

// The outer half: gives the child its user map, tells the launcher of it and ends.
[[noreturn]] void Release(const Plan& plan, pid_t child, int pidfd, int go) {
  if (plan.deny_setgroups) WriteProc(child, "setgroups", "deny");
  WriteProc(child, "gid_map", MapText(plan.gids));
  WriteProc(child, "uid_map", MapText(plan.uids));
  const auto notice = static_cast<uint8_t>(Notice::kProcess);
  if (!SendPacket(kControlFd, &notice, sizeof notice, {&pidfd, 1})) ::_exit(125);
  const char byte = 1;
  if (::write(go, &byte, 1) != 1) Fail(kControlFd, "releasing the compartment", errno);
  ::_exit(0);
}

}  // namespace

void EnterNamespaces(const Plan& plan) {
  int go[2] = {};
  if (::pipe2(go, O_CLOEXEC) != 0) Fail(kControlFd, "pipe", errno);
  int pidfd = -1;
  // The maps are written by the user's own right to the child's /proc files, which are root's as long as it is not
  // dumpable (proc(5)). The child takes that back below.
  if (plan.deny_setgroups) ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  CloneArguments arguments = {};
  // CLONE_PARENT: the launcher is the parent, reaps it, and this process can go at once.
  arguments.flags = kAllNamespaces | CLONE_PARENT | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  const long child = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child < 0) Fail(kControlFd, "making the namespaces (clone3)", errno);
  if (child > 0) Release(plan, static_cast<pid_t>(child), pidfd, go[1]);

  ::close(go[1]);
  char byte = 0;
  if (::read(go[0], &byte, 1) != 1) ::_exit(125);  // the other half has told why
  ::close(go[0]);
  if (!plan.deny_setgroups && ::setgroups(0, nullptr) != 0) Fail(kControlFd, "setgroups", errno);
  if (MapsRoot(plan.gids) && ::setresgid(0, 0, 0) != 0) Fail(kControlFd, "setresgid", errno);
  if (MapsRoot(plan.uids) && ::setresuid(0, 0, 0) != 0) Fail(kControlFd, "setresuid", errno);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  RaiseLoopback();
  if (::sethostname(plan.name.data(), plan.name.size()) != 0) Fail(kControlFd, "sethostname", errno);
}

void EnterRestricted() {
  // Orphans of the plugin come to the shim, which is to kill them.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) Fail(kControlFd, "PR_SET_CHILD_SUBREAPER", errno);
}

}  // namespace bulkhead::sandbox::init

// The process that the launcher starts: forks itself on demand (runner/sandbox/spawner.h).
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "runner/sandbox/init/init.h"
#include "runner/sandbox/packet.h"
#include "runner/sandbox/protocol.h"

namespace bulkhead::sandbox::init {

namespace {

// Waits for an order; the number of descriptors that came. Ends the process when the launcher is gone.
size_t TakeOrder(std::array<int, kMostInitFds>& fds) {
  char order = 0;
  size_t count = 0;
  if (ReceivePacket(kOrdersFd, &order, sizeof order, 0, fds, &count) <= 0) ::_exit(0);
  if (count < kMostInitFds - 1) ::_exit(125);
  return count;
}

// Each comes from a higher number than it goes to, and all that lie below it have been moved already.
bool Place(const std::array<int, kMostInitFds>& fds, size_t count) {
  constexpr std::array<int, kMostInitFds> kPlaces = {1, 2, kControlFd, kPlanFd, kSuppliesFd, kTokenFd};
  for (size_t i = 0; i < count; ++i) {
    if (fds[i] != kOrdersFd + 1 + static_cast<int>(i) || ::dup2(fds[i], kPlaces[i]) < 0) return false;
  }
  if (count < kMostInitFds) ::close(kTokenFd);
  return ::syscall(SYS_close_range, kSuppliesFd + 1, ~0U, 0) == 0;
}

}  // namespace

void ServeForks() {
  // Once, for all that are forked; a new user namespace starts with all of them again. Without CAP_SETPCAP it fails,
  // and the child does what is to be done about it.
  for (int capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
  }
  if (::syscall(SYS_close_range, kOrdersFd + 1, ~0U, 0) != 0) ::_exit(125);
  for (;;) {
    std::array<int, kMostInitFds> fds = {};
    const size_t count = TakeOrder(fds);
    int pidfd = -1;
    CloneArguments arguments = {};
    // CLONE_PARENT: the launcher is the parent of all of them, and reaps them.
    arguments.flags = CLONE_PARENT | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
    const long child = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) {
      if (!Place(fds, count)) ::_exit(125);
      return;
    }
    SpawnMessage answer;
    answer.pid = static_cast<int32_t>(child);
    answer.error_number = child < 0 ? errno : 0;
    SendPacket(kOrdersFd, &answer, sizeof answer, {&pidfd, child < 0 ? 0U : 1U});
    if (::syscall(SYS_close_range, kOrdersFd + 1, ~0U, 0) != 0) ::_exit(125);
  }
}

}  // namespace bulkhead::sandbox::init

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "runner/sandbox/init/init.h"
#include "runner/sandbox/packet.h"
#include "runner/sandbox/protocol.h"
#include "runner/sandbox/shim/shim.h"

namespace bulkhead::sandbox::init {

namespace {

Plan ReadPlan() {
  struct stat info = {};
  if (::fstat(kPlanFd, &info) != 0) Fail(kControlFd, "reading the plan", errno);
  const auto size = static_cast<size_t>(info.st_size);
  void* const bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, kPlanFd, 0);
  if (bytes == MAP_FAILED) Fail(kControlFd, "reading the plan", errno);
  auto plan = ParsePlan({static_cast<const char*>(bytes), size});
  ::munmap(bytes, size);
  ::close(kPlanFd);
  if (!plan.has_value())
    Fail(kControlFd, "reading the plan: it is not whole; bulkhead and bulkhead-init must be of one build", EINVAL);
  return std::move(*plan);
}

[[noreturn]] void Main() {
  // A plugin of the same user may not read this process's memory or attach to it (prctl(2), PR_SET_DUMPABLE).
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  std::signal(SIGPIPE, SIG_IGN);
  ServeForks();
  ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  const Plan plan = ReadPlan();
  if (plan.tier == Tier::kStrict) {
    EnterNamespaces(plan);
    BuildRoot(plan);
  } else {
    EnterRestricted();
  }
  Started plugin = StartPlugin(plan);
  shim::Run(plan, plugin.pid, std::move(plugin.report));
}

}  // namespace

void Fail(int fd, const char* step, int error_number) {
  FailureMessage message;
  message.error_number = error_number;
  std::strncpy(message.step, step, sizeof message.step - 1);
  SendPacket(fd, &message, sizeof message);
  ::_exit(125);
}

void Fail(int fd, const std::string& step, int error_number) {
  Fail(fd, step.c_str(), error_number);
}

}  // namespace bulkhead::sandbox::init

// With an argument it is not the launcher's: it is the program of a trial launch, and has nothing to do.
int main(int argc, char** /*argv*/) {
  if (argc > 1) return 0;
  bulkhead::sandbox::init::Main();
}

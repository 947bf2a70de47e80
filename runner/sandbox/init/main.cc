#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "runner/sandbox/init/init.h"
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

bool SendPacket(int fd, const void* bytes, size_t size, int passed) {
  iovec part = {const_cast<void*>(bytes), size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (passed >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

ssize_t ReceivePacket(int fd, void* bytes, size_t size, int flags, std::span<int> passed, size_t* count) {
  constexpr size_t kMost = std::max(kMostInitFds, kMostSupplies);
  iovec part = {bytes, size};
  alignas(cmsghdr) char control[CMSG_SPACE(kMost * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(std::min(kMost, passed.size()) * sizeof(int));
  const ssize_t received = ::recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
  *count = 0;
  const cmsghdr* const header = received >= 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return received;
  *count = std::min(passed.size(), (header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  std::memcpy(passed.data(), CMSG_DATA(header), *count * sizeof(int));
  return received;
}

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

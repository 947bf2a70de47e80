#include "runner/sandbox/compartment.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "runner/sandbox/kernel_abi.h"
#include "runner/sandbox/plan.h"
#include "runner/sandbox/protocol.h"
#include "runner/sandbox/seccomp.h"

namespace bulkhead::sandbox {

namespace {

template <typename T>
bool Read(std::string_view bytes, T& message) {
  if (bytes.size() != sizeof message) return false;
  std::memcpy(&message, bytes.data(), sizeof message);
  return true;
}

Attestation FromMessage(Tier tier, const AttestationMessage& message) {
  Attestation attestation;
  attestation.tier = tier;
  attestation.no_new_privs = message.no_new_privs != 0;
  attestation.seccomp_filter = message.seccomp_filter != 0;
  attestation.capabilities_empty = message.capabilities_empty != 0;
  attestation.securebits_locked = message.securebits_locked != 0;
  attestation.probe_denied = message.probe_denied != 0;
  attestation.landlock_denied = message.landlock_denied != 0;
  for (size_t i = 0; i < kNamespaces.size(); ++i) {
    if ((message.namespaces & (1U << i)) != 0) attestation.namespaces.emplace_back(kNamespaces[i]);
  }
  return attestation;
}

// "Pid:" of /proc/self/fdinfo (proc_pid_fdinfo(5)); -1 when it has ended.
pid_t ProcessOf(const UniqueFd& pidfd) {
  const auto info = ReadFile("/proc/self/fdinfo/" + std::to_string(pidfd.get()), 4096);
  const size_t line = info.ok() ? info->find("Pid:") : std::string::npos;
  return line == std::string::npos
             ? -1
             : std::atoi(info->c_str() + line + 4);  // NOLINT(cert-err34-c): the kernel's own number
}

ExitReport FromWaitStatus(int status) {
  ExitReport report;
  if (WIFEXITED(status)) {
    report.cause = ExitReport::Cause::kExited;
    report.exit_code = WEXITSTATUS(status);
  } else {
    report.signal = WTERMSIG(status);
    report.cause = report.signal == SIGSYS ? ExitReport::Cause::kSeccomp : ExitReport::Cause::kSignalled;
  }
  return report;
}

}  // namespace

void Compartment::OnMessage(std::string_view message, UniqueFd passed) {
  if (message.empty()) return;
  switch (static_cast<Notice>(message[0])) {
    case Notice::kProcess: {
      // By bulkhead-init, once, before there is a plugin: not by a shim that was taken over.
      if (tier != Tier::kStrict || shim_pidfd.valid() || !passed.valid() || attestation.has_value()) break;
      shim_pidfd = std::move(passed);
      const std::lock_guard lock(mutex);
      shim = ProcessOf(shim_pidfd);
      break;
    }
    case Notice::kAttestation: {
      AttestationMessage proof;
      if (!Read(message, proof) || attestation.has_value()) break;
      // Fails before Linux 6.11, and where the shim can't be inspected; then its end takes a little longer.
      if (shim_pidfd.valid()) mount_namespace.Reset(::ioctl(shim_pidfd.get(), abi::kPidfdGetMountNamespace, 0));
      const std::lock_guard lock(mutex);
      attestation = FromMessage(tier, proof);
      changed.notify_all();
      break;
    }
    case Notice::kReady: {
      const std::lock_guard lock(mutex);
      ready = true;
      changed.notify_all();
      break;
    }
    case Notice::kFailure: {
      FailureMessage failure;
      if (!Read(message, failure) || cause.has_value()) break;
      failure.step[sizeof failure.step - 1] = '\0';
      cause.emplace();
      cause->cause = ExitReport::Cause::kSetupFailed;
      cause->step = failure.step;
      cause->error_number = failure.error_number;
      break;
    }
    case Notice::kForbidden: {
      ForbiddenMessage forbidden;
      if (!Read(message, forbidden) || cause.has_value()) break;
      cause.emplace();
      cause->cause = ExitReport::Cause::kSeccomp;
      cause->syscall = SyscallName(forbidden.call);
      break;
    }
    case Notice::kOverLimit:
      if (cause.has_value()) break;
      cause.emplace();
      cause->cause = ExitReport::Cause::kMemory;
      break;
    case Notice::kExit: {
      ExitMessage end;
      if (!Read(message, end)) break;
      alone = end.alone != 0;
      if (!cause.has_value()) cause = FromWaitStatus(end.wait_status);
      break;
    }
  }
}

void Compartment::Kill(bool hard) {
  ::shutdown(control.get(), SHUT_RDWR);
  // The first process of a pid namespace takes all others with it; in restricted the shim has to do it.
  if (shim_pidfd.valid()) ::syscall(SYS_pidfd_send_signal, shim_pidfd.get(), SIGKILL, nullptr, 0);
  if (hard && spawned_pidfd.valid()) ::syscall(SYS_pidfd_send_signal, spawned_pidfd.get(), SIGKILL, nullptr, 0);
}

ExitReport Compartment::Conclude() const {
  const bool out_of_memory = cgroup != nullptr && cgroup->OutOfMemory();
  ExitReport end;
  end.cause = kill_asked ? ExitReport::Cause::kKilled : ExitReport::Cause::kShimFailed;
  if (cause.has_value()) end = *cause;
  const bool killed = end.cause == ExitReport::Cause::kShimFailed ||
                      (end.cause == ExitReport::Cause::kSignalled && end.signal == SIGKILL);
  if (out_of_memory && killed) end.cause = ExitReport::Cause::kMemory;
  return end;
}

}  // namespace bulkhead::sandbox

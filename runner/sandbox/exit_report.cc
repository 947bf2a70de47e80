#include <cstring>

#include "runner/sandbox/launcher.h"

namespace bulkhead::sandbox {

std::string_view CauseName(ExitReport::Cause cause) {
  switch (cause) {
    case ExitReport::Cause::kExited: return "exited";
    case ExitReport::Cause::kSignalled: return "signalled";
    case ExitReport::Cause::kSeccomp: return "seccomp";
    case ExitReport::Cause::kMemory: return "memory";
    case ExitReport::Cause::kKilled: return "killed";
    case ExitReport::Cause::kSetupFailed: return "setup-failed";
    case ExitReport::Cause::kShimFailed: return "shim-failed";
  }
  return "";
}

std::string ExitReport::ToString() const {
  switch (cause) {
    case Cause::kExited: return "it exited with code " + std::to_string(exit_code);
    case Cause::kSignalled: {
      const char* const name = ::sigabbrev_np(signal);
      return "it died of signal " + std::to_string(signal) + (name == nullptr ? "" : " (SIG" + std::string(name) + ")");
    }
    case Cause::kSeccomp:
      if (syscall.empty()) return "killed by seccomp: a system call that its profile does not list";
      return "killed by seccomp: system call " + syscall + " is not in its profile";
    case Cause::kMemory: return "killed: it exceeded its memory or process limit (resources.limits)";
    case Cause::kKilled: return "killed by the agent";
    case Cause::kSetupFailed:
      return "its compartment could not be made: " + step +
             (error_number == 0 ? "" : ": " + std::string(std::strerror(error_number)));
    case Cause::kShimFailed: return "its shim ended unexpectedly";
  }
  return "";
}

Value ToValue(const Attestation& attestation) {
  Value value = Value::Object();
  value.Set("tier", Value::String(std::string(TierName(attestation.tier))));
  value.Set("noNewPrivs", Value::Bool(attestation.no_new_privs));
  value.Set("seccompFilter", Value::Bool(attestation.seccomp_filter));
  value.Set("capabilitiesEmpty", Value::Bool(attestation.capabilities_empty));
  value.Set("securebitsLocked", Value::Bool(attestation.securebits_locked));
  value.Set("probeDenied", Value::Bool(attestation.probe_denied));
  value.Set("landlockDenied", Value::Bool(attestation.landlock_denied));
  Value namespaces = Value::Array();
  for (const std::string& name : attestation.namespaces) namespaces.items.push_back(Value::String(name));
  value.Set("namespaces", std::move(namespaces));
  return value;
}

}  // namespace bulkhead::sandbox

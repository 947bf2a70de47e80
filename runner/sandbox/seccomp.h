// seccomp: which system calls a plugin may make, as an allow-list compiled to the kernel's BPF.
//
// Stops every call that is not listed, by number and by the values of its register arguments, for the
// process and all its descendants, for good; needs no privilege but no_new_privs. A call that is not
// listed is held (SECCOMP_RET_USER_NOTIF, 5.0) until the shim has reported it and killed the
// compartment; where the kernel or the place has no listener, the process is killed at once
// (SECCOMP_RET_KILL_PROCESS, 4.14). Calls of a foreign architecture, and x32 calls, always kill.
// Calls that a runtime only tries, and does without, get the errno with which an older kernel or a
// refusing one would answer; so do calls newer than this table (ENOSYS).
//
// Can't stop: anything that depends on memory behind a pointer: paths, socket addresses (ports!), the
// flags of clone3, openat2 and io_uring. Those calls are refused whole or left to Landlock.
//
// Thread-safe.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/syscall.h>

#include "runner/base/result.h"
#include "runner/sandbox/kernel_features.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {

struct SeccompProgram {
  std::string bpf;  // packed struct sock_filter[]
};

// acct(2): no plugin needs it, and by itself it never returns EUNATCH. Every plugin filter answers it so;
// the answer proves to bulkhead-init that the filter is in force.
inline constexpr int kProbeSyscall = SYS_acct;
inline constexpr int kProbeErrno = EUNATCH;

// The filter for a plugin. `ports` empty: bind and listen are refused too (which ports may be bound is
// Landlock's to enforce, since a filter can't see them). Errors: kInvalidInput, an unknown profile, with
// the nearest name; kUnsupported, no seccomp here; kInternal, libseccomp failed.
//
// The filter relies on others for: `features.landlock_abi` < 6 in tier restricted, signals to other
// processes: the caller adds the program of signal_guard.h.
Result<SeccompProgram> CompilePluginFilter(std::string_view profile, Tier tier, const KernelFeatures& features,
                                           std::span<const uint16_t> ports);

// The filter for the shim: an epoll loop that relays TLS, reaps children, reads the notifications of the plugin's
// filter and kills the compartment. Opens files for reading only, executes nothing, makes no process.
// Kills the process on anything else.
Result<SeccompProgram> CompileShimFilter();

// The name of a native system call, e.g. "ptrace"; "call 999" when it has none here.
std::string SyscallName(int nr);

// "default": servers in Python, Node, Go, C, C++ or shell, with threads and child processes.
std::vector<std::string_view> SeccompProfileNames();

}  // namespace bulkhead::sandbox

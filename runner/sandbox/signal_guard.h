// A second seccomp program for tier restricted on kernels whose Landlock can't scope signals (ABI < 6,
// before 6.12): stops a plugin from signalling the agent, the shim and other plugins of the same uid.
//
// It holds the plugin's process id, which is known only in the child, so it is built there: no
// allocation, async-signal-safe. It refuses (EPERM) kill and tgkill of any process but the plugin's
// first one, and tkill altogether; kill of its own process group (0, or minus its id) passes, since the
// launcher starts every plugin in a session of its own, which no process can leave for another's group. Nor may a
// descriptor be told whom to signal (F_SETOWN and its like, fcntl(2)), or by which signal.
//
// Its limit: children inherit it, so a plugin's children can't signal themselves or each other, nor can
// the plugin signal a child; musl's raise(), which uses tkill, fails. From 6.12 on Landlock does it without these
// limits.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstddef>

namespace bulkhead::sandbox {

inline constexpr size_t kSignalGuardLength = 23;

// Fills `program` for the process `self` (getpid() of the plugin's first process).
void BuildSignalGuard(pid_t self, sock_filter (&program)[kSignalGuardLength]) noexcept;

}  // namespace bulkhead::sandbox

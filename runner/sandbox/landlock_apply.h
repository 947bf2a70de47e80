// The last step of Landlock: a few system calls over flat, preallocated data. Async-signal-safe, no
// allocation, no decision: what is allowed was decided by PlanLandlock (landlock.h). Safe between fork
// and exec, and linked into bulkhead-init.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead::sandbox {

struct LandlockPathRule {
  uint64_t access = 0;    // rights, within LandlockView::handled_fs
  uint32_t path = 0;      // offset in LandlockView::paths of a string ended by NUL
  uint32_t required = 0;  // 1: a missing path is an error; 0: it is skipped
};

struct LandlockPortRule {
  uint64_t access = 0;  // rights, within LandlockView::handled_net
  uint64_t port = 0;    // TCP, host byte order
};

// Plain pointers into memory of the caller, e.g. a mapped plan.
struct LandlockView {
  uint64_t handled_fs = 0;
  uint64_t handled_net = 0;
  uint64_t scoped = 0;
  const LandlockPathRule* path_rules = nullptr;
  size_t path_count = 0;
  const LandlockPortRule* port_rules = nullptr;
  size_t port_count = 0;
  const char* paths = nullptr;
  size_t paths_size = 0;
};

// In `failed_rule`: the ruleset itself could not be made.
inline constexpr size_t kLandlockCreate = static_cast<size_t>(-1);

// Makes a ruleset with the rules of `view`. Paths are opened now, in the caller's root, following symbolic
// links: a rule on /bin holds for where /bin leads. A right that only folders have is left out of a rule
// whose path is no folder.
//
// Returns a descriptor of the caller's (close-on-exec), or -errno with `*failed_rule` the index of the rule
// (path rules first, port rules after them) or kLandlockCreate.
int MakeLandlockRuleset(const LandlockView& view, size_t* failed_rule) noexcept;

// Confines the calling thread, for good, and all its children. The caller has set no_new_privs. Returns 0, or
// -errno: nothing is confined.
int EnterLandlock(int ruleset) noexcept;

}  // namespace bulkhead::sandbox

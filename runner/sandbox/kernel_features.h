// What this kernel and this place offer, probed once by asking the running kernel (never its version,
// never the headers of the build machine). A plain value: tests pass a poorer one to see refusals and
// fall-backs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/value.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {

struct KernelFeatures {
  int landlock_abi = 0;  // 0: absent or disabled at boot
  bool seccomp_filter = false;
  bool seccomp_user_notify = false;  // SECCOMP_RET_USER_NOTIF: names the call of a violation
  bool user_namespaces = false;      // a child could be created in a new user namespace with full capabilities in it
  bool all_namespaces = false;       // ... together with mount, pid, net, ipc, uts and cgroup namespaces
  bool mount_proc = false;           // ... and could mount a fresh proc there
  int cgroup_version = 0;            // 2, 1 or 0: where a child cgroup with memory, pids and cpu could be made
  bool root = false;                 // effective uid 0
  // Why each missing feature is missing, "layer: reason", for doctor.
  std::vector<std::string> reasons;
};

KernelFeatures ProbeKernel();

// One layer of the table in `bulkhead doctor`.
struct LayerReport {
  std::string
      layer;  // "namespaces", "file system", "network", "other processes", "system calls", "privileges", "resources"
  std::string strict;      // what does it in strict here, or why it can't be had
  std::string restricted;  // the same for restricted
  bool strict_ok = false;
  bool restricted_ok = false;
  std::string lift;  // what would make it available; empty when nothing is missing
};

struct TierReport {
  std::vector<LayerReport> layers;
  bool strict = false;
  bool restricted = false;
  std::string strict_reason;  // why not, from a real trial launch when the layers look right
  std::string restricted_reason;
};

// Pure: what `features` add up to.
TierReport Assess(const KernelFeatures& features);

// The best tier of a report; kUnsupported naming the missing layers when there is none.
Result<Tier> BestTier(const TierReport& report);

Value ToValue(const TierReport& report, const KernelFeatures& features);

}  // namespace bulkhead::sandbox

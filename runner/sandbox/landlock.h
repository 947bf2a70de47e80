// Landlock: which files and TCP ports a plugin may use, decided here as plain data and put in force by
// landlock_apply.h.
//
// Stops, from the kernel on (ABI 1 to 7; a newer one is used as 7):
//   1  5.13  reading, writing, executing, making and removing files outside the named paths; mount and
//            pivot_root; ptrace of, and /proc access to, any process outside the compartment
//   2  5.19  (renaming and linking between folders is refused below, and allowed in the scratch folder from here on)
//   3  6.2   truncate(2) by path. Below, seccomp refuses the call in tier restricted.
//   4  6.7   TCP bind and connect by port. Below, seccomp refuses connect in tier restricted.
//   5  6.10  ioctl on device files opened inside
//   6  6.12  signals to, and abstract Unix sockets of, processes outside. Below: seccomp and signal_guard.h.
//   7  6.15  (only adds control over the kernel's own audit records)
//
// Can't stop: what is already open when it is applied; stat, chdir, readlink, chmod, chown, utime,
// setxattr, flock and inotify on any path (seccomp refuses those that change something, by path, in
// restricted); Unix sockets with a path, UDP, raw sockets, MPTCP and SCTP, and the connection that
// MSG_FASTOPEN makes (all left to seccomp's argument rules); listen(2) on a socket that was never bound,
// which takes a free port of the kernel's choice (seccomp refuses listen where no port is granted);
// execution of code that is only read or mapped. See landlock(7) and Documentation/userspace-api/landlock.rst.
//
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runner/base/result.h"
#include "runner/sandbox/kernel_features.h"
#include "runner/sandbox/landlock_apply.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {

struct LandlockPlan {
  struct Path {
    std::string path;
    uint64_t access = 0;
    bool required = false;  // false: skipped where it does not exist
  };
  struct Port {
    uint16_t port = 0;
    uint64_t access = 0;
  };
  int abi = 0;  // 0: no Landlock here, nothing to apply
  uint64_t handled_fs = 0;
  uint64_t handled_net = 0;
  uint64_t scoped = 0;
  std::vector<Path> paths;
  std::vector<Port> ports;
};

// What Landlock of this ABI can be asked to refuse. 0 everywhere for ABI 0.
uint64_t HandledFs(int abi);
uint64_t HandledNet(int abi);
uint64_t HandledScopes(int abi);

// Everything this kernel can refuse is refused but
//   restricted: reading and executing the system's folders, the program itself (argv[0] when it is an
//     absolute path), a few files of /etc, /proc and /dev that runtimes read; writing in `scratch_dir`;
//   strict (paths inside the compartment's own root): reading and executing everything; writing in
//     /tmp, /dev/shm and `scratch_dir` (empty: none);
//   both: binding the ports of the spec. Nothing may be connected to.
// A scratch folder that does not exist is an error when the plan is applied.
LandlockPlan PlanLandlock(const SandboxSpec& spec, const KernelFeatures& features, const std::string& scratch_dir);

// A plan as the flat data that MakeLandlockRuleset takes.
class FlatLandlock {
 public:
  explicit FlatLandlock(const LandlockPlan& plan);
  // Points into this object: valid while it lives and is not moved.
  LandlockView View() const;

 private:
  uint64_t handled_fs_, handled_net_, scoped_;
  std::string paths_;
  std::vector<LandlockPathRule> path_rules_;
  std::vector<LandlockPortRule> port_rules_;
};

// "path /usr (required)", "port 4355", "the ruleset": what `failed_rule` of MakeLandlockRuleset means.
std::string DescribeRule(const LandlockPlan& plan, size_t failed_rule);

}  // namespace bulkhead::sandbox

// A control group for one compartment: memory, processes, CPU. Version 2 where its controllers can be
// used, else the version 1 hierarchies. See cgroups(7).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/unique_fd.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {

// Where child groups can be made; found once. A plain value.
struct CgroupPlace {
  int version = 0;                   // 2, 1, or 0: nowhere
  std::vector<std::string> folders;  // v2: one; v1: memory, pids, cpu, in this order
  std::string reason;                // version 0: why
};
CgroupPlace FindCgroupPlace();

// Removes groups that agents left which are gone.
void SweepCgroups(const CgroupPlace& place);

// The folders exist as long as this object. Not thread-safe.
class Cgroup {
 public:
  static Result<std::unique_ptr<Cgroup>> Create(const CgroupPlace& place, const Limits& limits);
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  const Limits& limits() const { return limits_; }
  // Files to which a process writes "0" to join, as many as the place has folders.
  Result<std::vector<UniqueFd>> OpenProcs() const;
  // Whether the kernel killed a process in it for memory.
  bool OutOfMemory() const;
  // Kills what is in it and waits until it is gone; false when something is still there after two seconds.
  bool KillAll() const;
  // Removes it; false when something is still in it.
  bool Remove();

 private:
  Cgroup(int version, const Limits& limits) : version_(version), limits_(limits) {}
  const int version_;
  const Limits limits_;
  std::vector<std::string> folders_;
};

}  // namespace bulkhead::sandbox

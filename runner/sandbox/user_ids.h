// Which host users the users inside a strict compartment are.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "runner/sandbox/plan.h"

namespace bulkhead::sandbox {

// A root launcher gives each compartment two host ids that own nothing: one for the shim (0 inside), one
// for the plugin. Any other launcher can only map itself (user_namespaces(7)). Thread-safe.
class UserIds {
 public:
  explicit UserIds(bool root);
  // Fills uids, gids and deny_setgroups of the plan.
  void Assign(uint32_t uid, uint32_t gid, Plan& plan);

 private:
  const bool root_;
  uint32_t most_ = 0;  // the highest id that this user namespace has
  std::atomic<uint32_t> next_{0};
};

}  // namespace bulkhead::sandbox

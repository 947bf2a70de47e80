// StateMemory: what the replies to a task that runs again have come to, from one call to the next.
//
// The policy judges the state that a node will have, not the last reply alone, since Argo merges results. But
// Argo's request names no node: workflow, template and arguments are all it says. So a state is kept under the
// digest of the whole request, which the stock agent repeats byte for byte when a requeue is due. Nodes of one
// workflow that run the same template with the same arguments share a key; each has a state of its own there,
// and a call takes the one that has been due longest. Between such twins states can be swapped, between
// others never.
//
// A final result is not kept. States are bounded in number and bytes; when there is no room, the reply that
// would need it is refused rather than another forgotten: a forgotten state would let a reply pass that, added to
// what is there already, a policy forbids. A state that nobody came for is dropped an hour after it was due.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/clock.h"
#include "runner/base/value.h"

namespace bulkhead::gateway {

struct KeptState {
  std::string plugin;  // whose replies these were
  Value node;          // the accumulated NodeResult
  uint32_t requeues = 0;
  SteadyTime due;  // when the task is to run again
};

// Thread-safe.
class StateMemory {
 public:
  struct Limits {
    size_t states = 10'000;
    size_t bytes = 64U << 20U;
    std::chrono::nanoseconds forget_after = std::chrono::hours(1);
    // Argo's timer may be a little early against ours.
    std::chrono::nanoseconds early = std::chrono::milliseconds(50);
  };
  explicit StateMemory(Limits limits) : limits_(limits) {}

  // Takes out the state of the key that was due first; nullopt when none is due.
  std::optional<KeptState> Take(std::string_view key, SteadyTime now);
  // False: there is no room, and nothing was kept.
  bool Keep(std::string_view key, KeptState state, SteadyTime now);
  size_t size() const;

 private:
  struct Entry {
    KeptState state;
    size_t bytes = 0;
  };
  void ForgetOldLocked(SteadyTime now);

  const Limits limits_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, std::vector<Entry>, std::less<>> states_;
  size_t count_ = 0;
  size_t bytes_ = 0;
  SteadyTime next_sweep_;
};

}  // namespace bulkhead::gateway

// Lane: so many calls of one plugin at once, some more that wait for their turn, and none beyond: a plugin
// that hangs holds up nobody but itself.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "runner/base/clock.h"

namespace bulkhead::gateway {

// Thread-safe.
class Lane {
 public:
  Lane(size_t running, size_t waiting) : most_running_(running), most_waiting_(waiting) {}
  // False when there is no room, or when the turn did not come until `deadline`.
  bool Enter(SteadyTime deadline);
  void Leave();

 private:
  const size_t most_running_;
  const size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable turn_;
  size_t running_ = 0;  // guarded by mutex_
  size_t waiting_ = 0;  // guarded by mutex_
};

}  // namespace bulkhead::gateway

#include "runner/gateway/lane.h"

namespace bulkhead::gateway {

bool Lane::Enter(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  if (running_ < most_running_) {
    ++running_;
    return true;
  }
  if (waiting_ >= most_waiting_) return false;
  ++waiting_;
  const bool turn = turn_.wait_until(lock, deadline, [&] { return running_ < most_running_; });
  --waiting_;
  if (turn) ++running_;
  return turn;
}

void Lane::Leave() {
  const std::lock_guard lock(mutex_);
  --running_;
  turn_.notify_one();
}

}  // namespace bulkhead::gateway

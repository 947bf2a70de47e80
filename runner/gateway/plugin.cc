#include "runner/gateway/plugin.h"

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

std::optional<agent::HostCall> HostedPlugin::Call(std::string_view method, std::string_view body, SteadyTime deadline,
                                                  rpc::Retry retry) {
  if (!lane_.Enter(deadline)) return std::nullopt;
  agent::HostCall call = host_.Call(method, body, deadline, {}, retry);
  lane_.Leave();
  return call;
}

}  // namespace bulkhead::gateway

// Lease: which one of several agents works (coordination.k8s.io/v1), so that nothing runs twice at once.
//
// As client-go's leader election does it: the holder renews; the others watch the record and take it over when it
// has not changed for its duration by their own clock, so that clocks need not agree. The holder gives up by itself
// when no attempt to renew could begin within `renew_deadline`, which is before any other may take over: in the time
// between, what it runs has to be ended. An attempt is two requests, so the client's timeout must be under half of
// that time between.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "runner/base/clock.h"
#include "runner/base/log.h"
#include "runner/kube/client.h"

namespace bulkhead::kube {

enum class LeaseState {
  kAsked,       // not known yet
  kStandingBy,  // another agent holds it
  kHeld,
  kLost,
};
std::string_view LeaseStateName(LeaseState state);  // "asked", "standing by", "held", "lost"

struct LeaseOptions {
  std::string name_space;
  std::string name;
  std::string identity;  // of this agent, unique among all
  std::chrono::seconds duration{10};
  std::chrono::nanoseconds renew_deadline = std::chrono::seconds(6);
  std::chrono::nanoseconds retry = std::chrono::seconds(2);
  std::function<void()> on_standing_by;  // in Acquire, when another agent is found to hold it; may be empty
};

class Lease {
 public:
  // Both outlive the lease.
  Lease(Client& client, const Logger& log, LeaseOptions options);
  ~Lease();  // Release()
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  // Waits until this agent holds the lease. kCancelled when the client was stopped.
  Status Acquire();
  // Renews from a thread of its own; calls `on_lost` once, when the lease is lost or could not be renewed in time.
  // After Acquire, once.
  void Keep(std::function<void()> on_lost);
  // Ends the renewing, and gives the lease up when it is still held, so that another agent need not wait.
  void Release();

  LeaseState state() const { return state_; }

 private:
  enum class Turn { kHeld, kOthers, kFailed };
  // One look at the record, and one attempt to take or renew it.
  Turn Try();
  Value Record(const Value* before, WallTime now, bool release) const;
  void Renew(const std::function<void()>& on_lost);

  Client& client_;
  const Logger& log_;
  const LeaseOptions options_;

  // Of whichever thread is at work: Acquire's caller, then the renewing one, then Release's caller.
  std::string seen_;  // the record as it was last
  SteadyTime seen_at_{};
  std::optional<Value> object_;  // as last written or read

  std::atomic<LeaseState> state_{LeaseState::kAsked};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_
  bool held_ = false;      // guarded by mutex_
  std::thread renewer_;
};

}  // namespace bulkhead::kube

// Scheduler: bounded concurrency, delayed re-runs, and the count of what is still to do.
//
// Tasks are kept in lanes, one a plugin (and one for tasks that no plugin claims): each lane runs at
// most `workers` tasks at once, so a plugin that hangs holds up nobody but itself. Threads are made
// when there is work for them and end with the scheduler.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "runner/agent/task.h"
#include "runner/base/clock.h"

namespace bulkhead::agent {

// A task on its way: what its replies came to so far. Owned by one worker at a time.
struct TaskState {
  Task task;
  Value node = Value::Object();  // accumulated NodeResult
  uint64_t step = 0;             // replies that it had
  int attempt = 1;               // how often this step was begun
  int calls = 0;
  uint32_t requeues = 0;  // interim results so far
  std::chrono::nanoseconds elapsed{0};
};

// Thread-safe.
class Scheduler : public TaskQueue {
 public:
  using Run = std::function<void(std::shared_ptr<TaskState>)>;
  using LaneOf = std::function<std::string(const Task&)>;

  Scheduler(size_t workers, LaneOf lane_of, Run run);
  ~Scheduler() override;  // JoinWorkers()

  void Add(Task task) override;
  void Close() override;

  // A task that was begun before: runs after `delay`.
  void Resume(std::shared_ptr<TaskState> state, std::chrono::nanoseconds delay);
  // Runs the task again after `delay`.
  void Requeue(std::shared_ptr<TaskState> state, std::chrono::nanoseconds delay);
  // The task is final.
  void Finish(uint64_t task_id);

  // Waits until the queue is closed and every task is final. False when `deadline` came first or
  // Interrupt was called.
  bool WaitDone(SteadyTime deadline);
  // Makes WaitDone return false and workers take no further task.
  void Interrupt();
  bool interrupted() const;

  // After Interrupt: waits until no task runs. False when `deadline` came first.
  bool WaitIdle(SteadyTime deadline);
  // Takes no further task and waits for the workers to return.
  void JoinWorkers();
  // After JoinWorkers: what was added and is not final.
  std::vector<std::shared_ptr<TaskState>> TakeUnfinished();

 private:
  struct Lane {
    std::deque<std::shared_ptr<TaskState>> ready;
    size_t running = 0;
  };
  struct Delayed {
    SteadyTime due;
    uint64_t order;
    std::shared_ptr<TaskState> state;
    bool operator<(const Delayed& other) const {  // a max-heap: the earliest is the greatest
      return due != other.due ? due > other.due : order > other.order;
    }
  };

  void Worker();
  void AddLocked(std::shared_ptr<TaskState> state);
  void PromoteDueLocked();
  std::shared_ptr<TaskState> TakeLocked(Lane*& lane);

  const size_t workers_;
  const LaneOf lane_of_;
  const Run run_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  // All below is guarded by mutex_.
  std::map<std::string, Lane> lanes_;
  std::map<std::string, Lane>::iterator next_lane_;
  std::priority_queue<Delayed> delayed_;
  std::map<uint64_t, std::shared_ptr<TaskState>> active_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  size_t running_ = 0;
  size_t ready_ = 0;
  uint64_t order_ = 0;
  bool closed_ = false;
  bool interrupted_ = false;
  bool stopping_ = false;
};

}  // namespace bulkhead::agent

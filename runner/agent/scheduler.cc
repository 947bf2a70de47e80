#include "runner/agent/scheduler.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <utility>

namespace bulkhead::agent {

Scheduler::Scheduler(size_t workers, LaneOf lane_of, Run run)
    : workers_(std::max<size_t>(workers, 1)),
      lane_of_(std::move(lane_of)),
      run_(std::move(run)),
      next_lane_(lanes_.end()) {}

Scheduler::~Scheduler() {
  JoinWorkers();
}

void Scheduler::Add(Task task) {
  auto state = std::make_shared<TaskState>();
  state->task = std::move(task);
  const std::lock_guard lock(mutex_);
  active_.emplace(state->task.id, state);
  AddLocked(std::move(state));
}

void Scheduler::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  done_.notify_all();
}

void Scheduler::Resume(std::shared_ptr<TaskState> state, std::chrono::nanoseconds delay) {
  {
    const std::lock_guard lock(mutex_);
    active_.emplace(state->task.id, state);
    if (delay.count() <= 0) return AddLocked(std::move(state));
  }
  Requeue(std::move(state), delay);
}

void Scheduler::Requeue(std::shared_ptr<TaskState> state, std::chrono::nanoseconds delay) {
  const std::lock_guard lock(mutex_);
  delayed_.push({std::chrono::steady_clock::now() + delay, order_++, std::move(state)});
  // Somebody has to wait for it: an idle worker re-reads the earliest due time.
  if (threads_.empty() && !stopping_) threads_.emplace_back(&Scheduler::Worker, this);
  work_.notify_one();
}

void Scheduler::Finish(uint64_t task_id) {
  const std::lock_guard lock(mutex_);
  active_.erase(task_id);
  if (active_.empty()) done_.notify_all();
}

bool Scheduler::WaitDone(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return interrupted_ || (closed_ && active_.empty()); };
  if (deadline == SteadyTime::max()) {
    done_.wait(lock, over);
  } else if (!done_.wait_until(lock, deadline, over)) {
    return false;
  }
  return !interrupted_;
}

void Scheduler::Interrupt() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  work_.notify_all();
  done_.notify_all();
}

bool Scheduler::interrupted() const {
  const std::lock_guard lock(mutex_);
  return interrupted_;
}

bool Scheduler::WaitIdle(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  return done_.wait_until(lock, deadline, [&] { return running_ == 0; });
}

void Scheduler::JoinWorkers() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<std::shared_ptr<TaskState>> Scheduler::TakeUnfinished() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<TaskState>> unfinished;
  for (auto& [id, state] : active_) unfinished.push_back(std::move(state));
  active_.clear();
  return unfinished;
}

void Scheduler::AddLocked(std::shared_ptr<TaskState> state) {
  lanes_[lane_of_(state->task)].ready.push_back(std::move(state));
  ++ready_;
  if (idle_ >= ready_) {
    work_.notify_one();
    return;
  }
  const size_t most = workers_ * lanes_.size();
  if (!stopping_ && threads_.size() < most) {
    threads_.emplace_back(&Scheduler::Worker, this);
  } else {
    work_.notify_one();
  }
}

void Scheduler::PromoteDueLocked() {
  const SteadyTime now = std::chrono::steady_clock::now();
  while (!delayed_.empty() && delayed_.top().due <= now) {
    auto state = delayed_.top().state;
    delayed_.pop();
    AddLocked(std::move(state));
  }
}

// The next task of a lane that may run one more, lanes in turn; null when there is none.
std::shared_ptr<TaskState> Scheduler::TakeLocked(Lane*& lane) {
  for (size_t tried = 0; tried < lanes_.size(); ++tried) {
    if (next_lane_ == lanes_.end()) next_lane_ = lanes_.begin();
    Lane& candidate = next_lane_->second;
    ++next_lane_;
    if (candidate.ready.empty() || candidate.running >= workers_) continue;
    auto state = std::move(candidate.ready.front());
    candidate.ready.pop_front();
    ++candidate.running;
    --ready_;
    lane = &candidate;
    return state;
  }
  return nullptr;
}

void Scheduler::Worker() {
  bool batch = false;
  std::unique_lock lock(mutex_);
  while (!stopping_ && !interrupted_) {
    PromoteDueLocked();
    Lane* lane = nullptr;
    auto state = TakeLocked(lane);
    if (state == nullptr) {
      ++idle_;
      if (delayed_.empty()) {
        work_.wait(lock);
      } else {
        work_.wait_until(lock, delayed_.top().due);
      }
      --idle_;
      continue;
    }
    ++running_;
    const bool loaded = ready_ > workers_;
    lock.unlock();
    // Under load a worker whose answer came takes its turn instead of preempting who runs: fewer switches, more
    // tasks (sched(7), SCHED_BATCH). Otherwise an answer should not wait.
    if (loaded != batch) {
      batch = loaded;
      const sched_param none = {};
      ::pthread_setschedparam(::pthread_self(), batch ? SCHED_BATCH : SCHED_OTHER, &none);
    }
    run_(std::move(state));
    lock.lock();
    if (--running_ == 0 && interrupted_) done_.notify_all();
    // The lane was full until now: this worker goes on with it, nobody needs to be woken.
    --lane->running;
  }
}

}  // namespace bulkhead::agent

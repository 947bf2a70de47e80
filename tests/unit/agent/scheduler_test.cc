#include "runner/agent/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

namespace bulkhead::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

SteadyTime Soon() {
  return std::chrono::steady_clock::now() + seconds(20);
}

Task NewTask(uint64_t id, std::string lane = "a") {
  Task task;
  task.id = id;
  task.plugin_keys = {std::move(lane)};
  return task;
}

std::string LaneOf(const Task& task) {
  return task.plugin_keys.front();
}

// A door that tasks wait at until the test opens it.
class Door {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    --waiting_;
  }
  void WaitFor(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, seconds(20), [&] { return waiting_ >= count; }));
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t waiting_ = 0;
  bool open_ = false;
};

TEST(Scheduler, RunsEveryTaskOnce) {
  std::mutex mutex;
  std::multiset<uint64_t> ran;
  Scheduler* self = nullptr;
  Scheduler scheduler(4, LaneOf, [&](std::shared_ptr<TaskState> state) {
    {
      const std::lock_guard lock(mutex);
      ran.insert(state->task.id);
    }
    self->Finish(state->task.id);
  });
  self = &scheduler;
  for (uint64_t id = 1; id <= 1000; ++id) scheduler.Add(NewTask(id, id % 2 == 0 ? "a" : "b"));
  scheduler.Close();
  ASSERT_TRUE(scheduler.WaitDone(Soon()));
  scheduler.JoinWorkers();
  EXPECT_TRUE(scheduler.TakeUnfinished().empty());
  ASSERT_EQ(ran.size(), 1000U);
  for (uint64_t id = 1; id <= 1000; ++id) EXPECT_EQ(ran.count(id), 1U);
}

TEST(Scheduler, AFullLaneHoldsUpNoOther) {
  Door door;
  std::atomic<int> others = 0;
  Scheduler* self = nullptr;
  Scheduler scheduler(2, LaneOf, [&](std::shared_ptr<TaskState> state) {
    if (LaneOf(state->task) == "stuck") {
      door.Pass();
    } else {
      others += 1;
    }
    self->Finish(state->task.id);
  });
  self = &scheduler;
  for (uint64_t id = 1; id <= 8; ++id) scheduler.Add(NewTask(id, "stuck"));
  door.WaitFor(2);
  for (uint64_t id = 9; id <= 40; ++id) scheduler.Add(NewTask(id, "free"));
  const SteadyTime end = Soon();
  while (others < 32 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_EQ(others, 32);
  EXPECT_EQ(door.waiting(), 2U) << "a lane runs at most its workers at once";
  door.Open();
  scheduler.Close();
  EXPECT_TRUE(scheduler.WaitDone(Soon()));
}

TEST(Scheduler, ARequeuedTaskRunsAgainNotBeforeItsTime) {
  std::atomic<int> runs = 0;
  SteadyTime first;
  SteadyTime second;
  Scheduler* self = nullptr;
  Scheduler scheduler(1, LaneOf, [&](std::shared_ptr<TaskState> state) {
    if (++runs == 1) {
      first = std::chrono::steady_clock::now();
      self->Requeue(std::move(state), milliseconds(50));
      return;
    }
    second = std::chrono::steady_clock::now();
    self->Finish(state->task.id);
  });
  self = &scheduler;
  scheduler.Add(NewTask(1));
  scheduler.Close();
  ASSERT_TRUE(scheduler.WaitDone(Soon()));
  EXPECT_EQ(runs, 2);
  EXPECT_GE(second - first, milliseconds(50));
}

TEST(Scheduler, GivesBackWhatADeadlineCutOff) {
  Scheduler* self = nullptr;
  Scheduler scheduler(
      1, LaneOf, [&](std::shared_ptr<TaskState> state) { self->Requeue(std::move(state), std::chrono::hours(1)); });
  self = &scheduler;
  scheduler.Add(NewTask(7));
  scheduler.Close();
  EXPECT_FALSE(scheduler.WaitDone(std::chrono::steady_clock::now() + milliseconds(20)));
  scheduler.JoinWorkers();
  const auto unfinished = scheduler.TakeUnfinished();
  ASSERT_EQ(unfinished.size(), 1U);
  EXPECT_EQ(unfinished.front()->task.id, 7U);
}

TEST(Scheduler, AnInterruptEndsTheWait) {
  Scheduler scheduler(1, LaneOf, [](const std::shared_ptr<TaskState>&) {});
  scheduler.Add(NewTask(1));
  std::thread interrupter([&] { scheduler.Interrupt(); });
  EXPECT_FALSE(scheduler.WaitDone(SteadyTime::max()));
  interrupter.join();
}

TEST(Scheduler, ACancelledTaskIsNeitherBegunNorBegunAgainAndTheOthersAre) {
  std::mutex mutex;
  std::vector<uint64_t> ran;
  Scheduler* self = nullptr;
  Door door;
  Scheduler scheduler(1, LaneOf, [&](std::shared_ptr<TaskState> state) {
    const uint64_t id = state->task.id;
    {
      const std::lock_guard lock(mutex);
      ran.push_back(id);
    }
    if (id != 1) return self->Finish(id);
    door.Pass();
    self->Requeue(std::move(state), milliseconds(0));
  });
  self = &scheduler;
  for (uint64_t id = 1; id <= 4; ++id) scheduler.Add(NewTask(id));
  door.WaitFor(1);
  scheduler.Cancel(1);
  scheduler.Cancel(2);
  scheduler.Cancel(3);
  EXPECT_FALSE(scheduler.IsActive(2));
  EXPECT_TRUE(scheduler.IsActive(4));
  scheduler.Close();
  door.Open();
  EXPECT_TRUE(scheduler.WaitDone(Soon()));
  scheduler.JoinWorkers();
  EXPECT_EQ(ran, (std::vector<uint64_t>{1, 4}));
}

TEST(Scheduler, AfterAnInterruptItWaitsForWhatRuns) {
  Door door;
  Scheduler scheduler(2, LaneOf, [&](std::shared_ptr<TaskState>) { door.Pass(); });
  scheduler.Add(NewTask(1));
  door.WaitFor(1);
  scheduler.Interrupt();
  EXPECT_FALSE(scheduler.WaitIdle(std::chrono::steady_clock::now() + milliseconds(20)));
  door.Open();
  EXPECT_TRUE(scheduler.WaitIdle(Soon()));
}

}  // namespace
}  // namespace bulkhead::agent

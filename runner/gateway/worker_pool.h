// WorkerPool: at most so many jobs at once, each on a thread; a job is refused rather than queued.
//
// A queue in front of threads that wait for plugins would let one plugin that hangs hold up all others.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace bulkhead::gateway {

// Thread-safe.
class WorkerPool {
 public:
  explicit WorkerPool(size_t most) : most_(most) {}
  ~WorkerPool();  // waits for the jobs
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False when all are busy: the job was not taken. Threads are made when there is work for them and kept.
  bool TryRun(std::function<void()> job);
  size_t busy() const;

 private:
  void Work();

  const size_t most_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  // Guarded by mutex_.
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  size_t busy_ = 0;  // jobs that run or wait for a thread that is waking
  bool stopping_ = false;
};

}  // namespace bulkhead::gateway

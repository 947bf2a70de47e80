#include "runner/gateway/worker_pool.h"

#include <utility>

namespace bulkhead::gateway {

WorkerPool::~WorkerPool() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

bool WorkerPool::TryRun(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || busy_ >= most_) return false;
  ++busy_;
  jobs_.push_back(std::move(job));
  if (busy_ > threads_.size()) threads_.emplace_back(&WorkerPool::Work, this);
  work_.notify_one();
  return true;
}

size_t WorkerPool::busy() const {
  const std::lock_guard lock(mutex_);
  return busy_;
}

void WorkerPool::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return !jobs_.empty() || stopping_; });
    if (jobs_.empty()) return;
    {
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
    }
    lock.lock();
    --busy_;
  }
}

}  // namespace bulkhead::gateway

// A line of progress on a terminal's standard error, while a run goes on; nothing elsewhere.
#pragma once

#include <cstddef>
#include <mutex>

#include "runner/agent/task.h"

namespace bulkhead::cli {

// Thread-safe.
class Progress {
 public:
  explicit Progress(size_t total);
  ~Progress() { Done(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Saw(const agent::TaskReport& report);
  // Removes the line.
  void Done();

 private:
  const size_t total_;
  const bool shown_;
  std::mutex mutex_;
  size_t final_ = 0;
  size_t printed_ = 0;
};

}  // namespace bulkhead::cli

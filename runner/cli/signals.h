// SIGINT, SIGTERM and SIGHUP as a callback on an ordinary thread.
#pragma once

#include <functional>
#include <thread>

#include "runner/base/unique_fd.h"

namespace bulkhead::cli {

// Blocks the three signals in this thread and those it will make. Before the first thread.
void BlockSignals();

// From construction to destruction, calls `on_signal` for each signal, on a thread of its own. A second
// signal ends the process at once: somebody is in a hurry.
class SignalWatch {
 public:
  // SIGHUP is `on_hangup`'s alone when that is given.
  explicit SignalWatch(std::function<void()> on_signal, std::function<void()> on_hangup = {});
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  UniqueFd signals_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace bulkhead::cli

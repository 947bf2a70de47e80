// Clock: the one source of time, so that tests can own it. Thread-safe.
#pragma once

#include <chrono>

namespace bulkhead {

using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime Now() const { return std::chrono::steady_clock::now(); }
  virtual WallTime Wall() const { return std::chrono::system_clock::now(); }
};

}  // namespace bulkhead

// Executions: a call that is repeated because its answer was not waited for finds the execution it began.
//
// Argo's agent gives up on a call after 30 s, or when its connection breaks, and makes the same call again. The
// plugin is then still at work, and must not begin a second time. A call is taken for such a repetition when
// all who asked for the same request are gone; while somebody still waits, the same request again is another
// node with the same template and arguments, which runs by itself.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/clock.h"
#include "runner/gateway/http_server.h"

namespace bulkhead::gateway {

// Thread-safe.
class Executions {
 public:
  struct Limits {
    // An answer that nobody waited for is kept this long for the call that comes again.
    std::chrono::nanoseconds keep = std::chrono::seconds(60);
    size_t kept = 256;
    size_t kept_bytes = 16U << 20U;
  };
  struct Execution;

  explicit Executions(Limits limits) : limits_(limits) {}

  // Set: the caller is to execute, and to call Finish. Null: `reply` was answered, or will be when another
  // execution of the same key ends.
  std::shared_ptr<Execution> Enter(std::string_view key, std::shared_ptr<HttpReply> reply, SteadyTime now);
  // Answers all who wait.
  void Finish(const std::shared_ptr<Execution>& execution, const HttpResponse& response, SteadyTime now);

 private:
  struct Kept {
    std::string key;
    HttpResponse response;
    SteadyTime until;
  };
  std::optional<HttpResponse> TakeKeptLocked(std::string_view key, SteadyTime now);
  void KeepLocked(std::string key, HttpResponse response, SteadyTime now);

  const Limits limits_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::multimap<std::string, std::shared_ptr<Execution>, std::less<>> running_;
  std::deque<Kept> kept_;  // the oldest first
  size_t kept_bytes_ = 0;
};

}  // namespace bulkhead::gateway

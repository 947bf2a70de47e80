// Supervisor: one thread that watches all compartments of a launcher: their messages, what plugins print,
// their end. Internal to sandbox/.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/unique_fd.h"
#include "runner/sandbox/compartment.h"

namespace bulkhead::sandbox {

class Supervisor {
 public:
  static Result<std::unique_ptr<Supervisor>> Create();
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // From here on the compartment is watched until it is cleaned up. Thread-safe.
  Status Watch(std::shared_ptr<Compartment> compartment);
  // Asks for its end, by force if it does not come soon. Thread-safe.
  void Kill(const std::shared_ptr<Compartment>& compartment);

 private:
  enum Role : uint64_t { kControl, kStdout, kStderr, kSpawned, kShim };
  struct Watched;

  Supervisor(UniqueFd epoll, UniqueFd wake);
  void Loop();
  int NextTimeout();
  void OnEvent(uint64_t token);
  void OnControl(Watched& watched);
  void OnOutput(Watched& watched, size_t stream, bool last);
  void OnSpawned(Watched& watched);
  void OnShim(Watched& watched);
  void ForceLateOnes();
  void Report(Watched& watched);
  void Finish(uint64_t id, Watched& watched);
  bool Add(int fd, uint64_t id, Role role) const;
  void Remove(int fd) const;

  const UniqueFd epoll_;
  const UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  uint64_t next_id_ = 1;                                  // guarded by mutex_
  std::map<uint64_t, std::unique_ptr<Watched>> watched_;  // guarded by mutex_; entries are of the thread
  std::thread thread_;
};

}  // namespace bulkhead::sandbox

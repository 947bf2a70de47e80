// Spawner: starts processes of bulkhead-init without starting a program each time. One bulkhead-init is
// run when the launcher is made; it holds nothing but its end of a private socket and forks itself on
// demand, so that a launch costs a fork of a small process with one thread. Internal to sandbox/.
//
// All compartments of one launcher therefore share one address space layout; it differs from the
// agent's and changes with each start of the agent.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "runner/base/result.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::sandbox {

// What a new process of bulkhead-init gets. It inherits nothing else.
struct InitFds {
  int out = -1, err = -1, control = -1, plan = -1, supplies = -1;
  int token = -1;  // -1: none
};

// A child of this process, not reaped before its pidfd is.
struct Spawned {
  pid_t pid = -1;
  UniqueFd pidfd;
};

// Thread-safe.
class Spawner {
 public:
  static Result<std::unique_ptr<Spawner>> Create(std::string init_path);
  ~Spawner();
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  // Calls `meanwhile` at most once, while the process is made.
  // kUnavailable when bulkhead-init can't be had (again: one that died is replaced once a call).
  Result<Spawned> Spawn(const InitFds& fds, const std::function<void()>& meanwhile);

 private:
  explicit Spawner(std::string init_path) : init_path_(std::move(init_path)) {}
  Status Start();
  void Stop();
  Result<Spawned> Ask(const InitFds& fds, const std::function<void()>& meanwhile);

  const std::string init_path_;
  std::mutex mutex_;
  UniqueFd socket_;  // guarded by mutex_
  pid_t pid_ = -1;   // guarded by mutex_
};

}  // namespace bulkhead::sandbox

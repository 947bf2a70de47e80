// Spawner: starts processes of bulkhead-init without starting a program each time. One bulkhead-init is
// run when the launcher is made; it holds nothing but its end of a private socket and forks itself on
// demand, so that a launch costs a fork of a small process with one thread. Internal to sandbox/.
//
// All compartments of one launcher therefore share one address space layout; it differs from the
// agent's and changes with each start of the agent.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "runner/base/result.h"
#include "runner/base/unique_fd.h"
#include "runner/sandbox/protocol.h"

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

  // Calls `meanwhile` at most once, while the process is made; others are not held up by it.
  // kUnavailable when bulkhead-init can't be had (again: one that died is replaced once a call).
  Result<Spawned> Spawn(const InitFds& fds, const std::function<void()>& meanwhile);

 private:
  explicit Spawner(std::string init_path) : init_path_(std::move(init_path)) {}
  // Orders are answered in their order, but each caller does its own work before it looks for its answer.
  struct Ticket {
    uint64_t run = 0, number = 0;
  };
  using Answer = std::pair<SpawnMessage, UniqueFd>;

  Status StartLocked();
  void StopLocked();
  Result<Ticket> Order(const InitFds& fds);
  Result<Spawned> Collect(const Ticket& ticket);

  const std::string init_path_;
  std::mutex mutex_;  // guards what follows
  UniqueFd socket_;   // invalid: none is running
  pid_t pid_ = -1;
  uint64_t run_ = 0;                                         // raised with each bulkhead-init that is started
  uint64_t ordered_ = 0;                                     // orders of this run
  uint64_t answered_ = 0;                                    // answers that were read
  std::map<std::pair<uint64_t, uint64_t>, Answer> answers_;  // by run and number: read, and not yet collected
};

}  // namespace bulkhead::sandbox

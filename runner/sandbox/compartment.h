// Compartment: what the launcher knows of one running bulkhead-init. Internal to sandbox/.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "runner/base/io.h"
#include "runner/base/unique_fd.h"
#include "runner/sandbox/cgroup.h"
#include "runner/sandbox/launcher.h"

namespace bulkhead::sandbox {

// Descriptors and pids are of the supervisor's thread once it watches the compartment, except `control`,
// to which anyone may send. What is under `mutex` is shared.
struct Compartment {
  Tier tier = Tier::kStrict;
  LaunchCallbacks callbacks;
  UniqueFd control;
  UniqueFd output[2];  // the plugin's stdout and stderr
  pid_t spawned = -1;  // bulkhead-init as spawned; strict: only until it has made the namespaces
  UniqueFd spawned_pidfd;
  UniqueFd shim_pidfd;  // strict: the first process of the compartment
  // Keeps the mounts until the end was reported: otherwise the shim would take them apart before it is gone.
  UniqueFd mount_namespace;
  std::unique_ptr<Cgroup> cgroup;
  std::optional<TempDir> scratch;
  std::optional<ExitReport> cause;  // what init said of the end
  bool alone = false;               // only the shim is left, and about to end
  bool spawned_reaped = false;
  bool shim_reaped = false;

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Attestation> attestation;
  pid_t shim = -1;  // in the launcher's pid namespace; known by the time of the attestation
  bool ready = false;
  bool kill_asked = false;
  std::chrono::steady_clock::time_point killed_at{};
  std::optional<ExitReport> report;  // set when no process of the plugin is left
  bool cleaned = false;              // set last, when nothing is left

  // One message of bulkhead-init, with the descriptor that came with it.
  void OnMessage(std::string_view message, UniqueFd passed);
  // Makes the shim end everything; `hard`: does not leave it to the shim.
  void Kill(bool hard);
  // The final report, once no process of the plugin is left.
  ExitReport Conclude() const;
};

}  // namespace bulkhead::sandbox

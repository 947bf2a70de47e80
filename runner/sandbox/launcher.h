// Launcher: starts a plugin in its compartment and watches it.
//
// The agent has many threads, so it never forks into a plugin. It starts one `bulkhead-init`
// (runner/sandbox/init), which holds nothing and forks itself for each plugin: the fork gets its plan in a
// sealed memory file, builds the compartment, starts the plugin in it and stays as the shim: first process
// of the compartment, reaper, and terminator of mutual TLS before the plugin's plain HTTP port.
//
// There is no listening socket that others could find: each connection to the shim is one end of a
// socket pair sent over the launcher's private control socket.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "certs/identity.h"
#include "runner/base/result.h"
#include "runner/base/unique_fd.h"
#include "runner/base/value.h"
#include "runner/sandbox/kernel_features.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {

enum class Stream { kStdout, kStderr };

// How a compartment ended.
struct ExitReport {
  enum class Cause {
    kExited,       // the plugin's first process exited by itself
    kSignalled,    // it died of a signal
    kSeccomp,      // a forbidden system call; `syscall` names it
    kMemory,       // killed for exceeding its memory limit
    kKilled,       // by us: Kill(), or the end of the agent
    kSetupFailed,  // before exec: `step` and `error_number` tell where
    kShimFailed,   // the shim itself ended: treated as the plugin's death
  };
  Cause cause = Cause::kExited;
  int exit_code = 0;
  int signal = 0;
  std::string syscall;
  std::string step;
  int error_number = 0;

  // One sentence, e.g. "killed by seccomp: system call ptrace is not in profile \"default\"".
  std::string ToString() const;
};

// "exited", "signalled", "seccomp", "memory", "killed", "setup-failed", "shim-failed".
std::string_view CauseName(ExitReport::Cause cause);

// What bulkhead-init read back from the kernel about the compartment before it let the plugin start.
struct Attestation {
  Tier tier = Tier::kRestricted;
  bool no_new_privs = false;
  bool seccomp_filter = false;
  bool capabilities_empty = false;  // effective, permitted, inheritable and ambient; bounding too when it could be
                                    // dropped, which needs CAP_SETPCAP (without it no_new_privs keeps it out of reach)
  bool securebits_locked = false;
  bool probe_denied = false;            // a denied system call was tried and denied
  bool landlock_denied = false;         // an access outside the rules was tried and denied
  std::vector<std::string> namespaces;  // kinds whose identity differs from the launcher's
};
Value ToValue(const Attestation& attestation);

struct LaunchCallbacks {
  // Raw bytes as the plugin wrote them, in order for one stream; called on the launcher's own thread.
  // Must be quick and must not call back into the launcher. The bytes are hostile and unredacted.
  std::function<void(Stream, std::string_view)> on_output;
  // Once, on the launcher's thread, after every process of the compartment is gone.
  std::function<void(const ExitReport&)> on_exit;
};

// A running compartment. Destroying it kills every process in it, reaps them, and removes its cgroup
// and scratch; nothing is left. Thread-safe.
class SandboxedProcess {
 public:
  virtual ~SandboxedProcess() = default;

  // Waits until the plugin listens on its port (serve_port != 0). kDeadlineExceeded when it does not
  // in time, kUnavailable with the exit report's text when it ended first.
  virtual Status WaitReady(std::chrono::nanoseconds timeout) = 0;

  // A new byte stream to the shim: the caller speaks TLS as client. Needs serve_port != 0.
  virtual Result<UniqueFd> Connect() = 0;

  // Gives the shim another identity, and another client to admit: for every connection made from here on, and none
  // before. Needs serve_port != 0.
  virtual Status Renew(const certs::Identity& server, std::string_view client_uri) = 0;

  // Kills everything in the compartment and returns at once; on_exit follows.
  virtual void Kill() = 0;

  // Waits for the end of every process in it; nullopt when one still runs after `timeout`.
  virtual std::optional<ExitReport> WaitExit(std::chrono::nanoseconds timeout) = 0;

  virtual const Attestation& attestation() const = 0;
  // The shim's process id in the launcher's pid namespace.
  virtual int pid() const = 0;
};

struct LauncherOptions {
  std::string init_path;     // bulkhead-init; empty: beside /proc/self/exe
  std::string scratch_root;  // where restricted scratch folders are made; empty: /tmp when root (the plugin's user has
                             // to reach it), else $TMPDIR or /tmp
  std::string token_dir = "/var/run/argo";  // restricted only: where the token's link is put
};

// Thread-safe. Must outlive the processes it launched. One thread of its own watches all of them.
class Launcher {
 public:
  static Result<std::unique_ptr<Launcher>> Create(const KernelFeatures& features, LauncherOptions options);
  virtual ~Launcher() = default;

  // Starts `spec` and returns when the attestation was received and verified (the plugin's exec
  // follows at once), or with the reason why not. `server` is the shim's identity, null when
  // spec.serve_port is 0; `client_uri` the only peer that the shim admits. Never launches in a lower
  // tier than spec.tier: kUnsupported instead.
  virtual Result<std::unique_ptr<SandboxedProcess>> Launch(const SandboxSpec& spec, const certs::Identity* server,
                                                           std::string_view client_uri, LaunchCallbacks callbacks) = 0;
};

// Assess(features), then each tier that looks possible is tried by launching a real process.
TierReport TryTiers(const KernelFeatures& features, Launcher& launcher);

}  // namespace bulkhead::sandbox

// PluginHost: one plugin for the life of the agent: starts its compartment, calls it, starts it again
// when it dies, and finds out which call killed it.
//
// When a plugin ends while several calls are in flight, any of them may be the cause. Each is then
// repeated alone, with no other call beside it: the one during which the plugin dies again is the
// culprit and fails with the reason; the others go on unharmed.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "certs/issuer.h"
#include "certs/remote.h"
#include "runner/audit/audit_log.h"
#include "runner/base/clock.h"
#include "runner/base/log.h"
#include "runner/base/metrics.h"
#include "runner/http/executor.h"
#include "runner/redact/redactor.h"
#include "runner/rpc/plugin_client.h"
#include "runner/sandbox/launcher.h"

namespace bulkhead::agent {

// What all hosts of an agent share. Everything outlives the hosts.
struct HostServices {
  sandbox::Launcher* launcher = nullptr;
  certs::Issuer* issuer = nullptr;
  std::shared_ptr<const redact::Redactor> redactor;
  audit::AuditLog* audit = nullptr;
  http::Executor* http = nullptr;  // for HTTP templates; null: they end in Error
  Metrics* metrics = nullptr;
  const Logger* log = nullptr;
  std::function<void(const Error&)> on_audit_failure;  // the agent must stop
};

struct HostOptions {
  std::chrono::nanoseconds start_timeout = std::chrono::seconds(20);
  rpc::ClientOptions client;
  bool log_output = false;  // the plugin's output at info instead of debug
  // After this long a plugin that could not be started is tried again; never when unset.
  std::optional<std::chrono::nanoseconds> try_again_after;
};

// A plugin that somebody else runs in this pod, without a compartment: called in plain HTTP, on loopback only.
struct Sidecar {
  std::string host;
  uint16_t port = 0;
  std::function<Status()> admit;  // asked before each call, since policies change; thread-safe; empty: always OK
};

// A plugin that somebody else runs elsewhere: called over mutual TLS. Whether its side has a compartment is not known.
struct RemotePlugin {
  std::string host;
  uint16_t port = 0;
  std::shared_ptr<certs::RemoteContext> context;
};

struct PluginConfig {
  sandbox::SandboxSpec spec;  // of a sidecar only the name and the token, of a remote plugin the name
  std::optional<Sidecar> sidecar;
  std::optional<RemotePlugin> remote;
  std::string uri;                   // SPIFFE id of its instances
  std::vector<std::string> handles;  // keys of template.plugin; empty: asked for every task
  std::vector<std::string> methods;  // RPC methods that it answers; empty: template.execute
  // "sha256:..." when what runs is known to be that image: the manifest names it by digest and a root was given for
  // it. Empty otherwise: no policy that pins a digest applies then.
  std::string image_digest;
  std::vector<std::string> notices;
};

struct HostCall {
  rpc::CallResult result;
  // Set when the compartment ended, or never came up: the sentence for people.
  std::optional<std::string> sandbox_reason;
};

struct HostHealth {
  bool ready = false;
  std::string reason;  // redacted; when ready empty, but for what should be seen to
};

// Thread-safe.
class PluginHost {
 public:
  // `refusal`: the plugin must not be started, and each call fails with this.
  PluginHost(PluginConfig config, HostServices services, HostOptions options,
             std::optional<Error> refusal = std::nullopt);
  ~PluginHost();  // Stop()

  // Starts the compartment and waits until it listens. The error is remembered: after a failed start
  // that trying again would not mend, calls fail with it at once.
  Status Start();

  // `extra_headers`: complete header lines ending in CRLF, or empty. With Retry::kNever the plugin is asked once,
  // whatever comes of it.
  HostCall Call(std::string_view method, std::string_view body, SteadyTime deadline,
                std::string_view extra_headers = {}, rpc::Retry retry = rpc::Retry::kAsOptions);

  // Whether the plugin declares that it handles one of `keys`; nullopt when it declares nothing.
  std::optional<bool> Handles(const std::vector<std::string>& keys) const;
  // Whether the plugin declares the method and has not answered 404 to it.
  bool Serves(std::string_view method) const;
  // Whether it runs and listens; else why not, as far as it is known. Never waits.
  HostHealth Health() const;

  // Replaces certificates that are to be replaced. Each new connection sees to that by itself; this is for plugins
  // that make none for a long time. To be called once in a while. Waits for nothing.
  void RenewCertificates();

  // Makes waiting calls return, kills the compartment and waits until it is gone.
  void Stop();

  const std::string& name() const { return config_.spec.name; }
  const std::string& image_digest() const { return config_.image_digest; }
  std::string_view tier() const {
    if (config_.sidecar.has_value()) return "sidecar";
    return config_.remote.has_value() ? "remote" : sandbox::TierName(config_.spec.tier);
  }

 private:
  struct Instance;
  struct Attempted;

  Result<std::shared_ptr<Instance>> Running();
  Result<std::shared_ptr<Instance>> RunningLocked();
  void SetHealth(HostHealth health);
  void SetStarting(sandbox::SandboxedProcess* process);
  Result<std::shared_ptr<Instance>> LaunchLocked();
  std::shared_ptr<Instance> CallOutside();
  void RecordStart(Value attestation);
  Attempted CallOnce(std::string_view method, std::string_view body, SteadyTime deadline,
                     std::string_view extra_headers, rpc::Retry retry, bool alone);
  void Record(audit::Event event, Value fields);
  void RecordExit(const sandbox::ExitReport& report);

  const PluginConfig config_;
  const HostServices services_;
  const HostOptions options_;

  // Shared by ordinary calls, exclusive for a call that is repeated alone.
  std::shared_mutex lane_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<Instance> instance_;
  std::optional<Error> broken_;
  int failed_starts_ = 0;
  std::optional<SteadyTime> broken_until_;

  // Apart from mutex_, which is held while a compartment starts.
  mutable std::mutex facts_mutex_;
  // Guarded by facts_mutex_.
  std::set<std::string, std::less<>> unsupported_;
  HostHealth health_;
  sandbox::SandboxedProcess* starting_ = nullptr;  // until it listens

  std::atomic<bool> stopping_{false};
};

}  // namespace bulkhead::agent

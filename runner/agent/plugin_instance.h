// One run of a plugin. Internal to PluginHost.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "runner/agent/output_log.h"
#include "runner/agent/plugin_host.h"

namespace bulkhead::agent {

// One run of the compartment, or the calls of a plugin outside of any.
struct PluginHost::Instance {
  std::mutex mutex;
  std::condition_variable ended;
  std::optional<sandbox::ExitReport> report;  // guarded by mutex
  bool stopping = false;                      // guarded by mutex
  size_t in_flight = 0;                       // guarded by mutex
  uint64_t calls = 0;                         // guarded by mutex

  // Of a plugin outside: the descriptors that calls wait on, which end when the agent does.
  std::set<int> waiting;  // guarded by mutex

  // What the shim was given last. Whoever connects holds the mutex until the shim knows of the connection, so that
  // both ends always use the same.
  std::mutex renewing;
  std::shared_ptr<const certs::Credentials> credentials;  // guarded by renewing
  std::optional<certs::TlsContext> context;               // guarded by renewing

  // Of a plugin elsewhere: what its connections were made with.
  std::shared_ptr<const certs::TlsContext::State> trust;  // guarded by renewing

  // The process calls back into all of the above until it is destroyed: it stands below them.
  std::unique_ptr<OutputLog> output;
  std::unique_ptr<sandbox::SandboxedProcess> process;
  std::unique_ptr<rpc::PluginClient> client;

  // Gives both ends the issuer's present credentials, if they have others. `renewing` is held.
  Status RenewLocked(const PluginConfig& config, const HostServices& services) {
    BULKHEAD_ASSIGN(std::shared_ptr<const certs::Credentials> current, services.issuer->Current());
    if (current == credentials) return OkStatus();
    BULKHEAD_ASSIGN(const certs::Identity server, current->authority.Issue(config.uri, certs::Role::kServer));
    BULKHEAD_ASSIGN(certs::TlsContext client_context, certs::TlsContext::ForClient(current->agent, config.uri));
    BULKHEAD_TRY(process->Renew(server, current->agent.uri));
    credentials = std::move(current);
    context = std::move(client_context);
    services.metrics->Add("bulkhead_certificates_renewed_total", MetricLabel("plugin", config.spec.name));
    // Kept connections would outlive the certificates that they were made with.
    client->DropConnections();
    return OkStatus();
  }

  // The present trust and credentials for a plugin elsewhere. Connections of before do not outlive them.
  certs::TlsContext TrustOutside(certs::RemoteContext& remote) {
    certs::TlsContext current = remote.Get();
    const std::lock_guard lock(renewing);
    if (std::exchange(trust, current.state()) != current.state() && client != nullptr) client->DropConnections();
    return current;
  }

  bool WaitEnded(std::chrono::nanoseconds time) {
    std::unique_lock lock(mutex);
    ended.wait_for(lock, time, [&] { return report.has_value() || stopping; });
    return report.has_value() || stopping;
  }
};

}  // namespace bulkhead::agent

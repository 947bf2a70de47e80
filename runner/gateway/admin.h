// The answers for those who operate the program: GET /healthz, /readyz and /metrics. None needs a token, and none
// holds anything of a workflow or a secret. The gateway and the agent both have them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/holder.h"
#include "runner/agent/plugin_host.h"
#include "runner/audit/audit_log.h"
#include "runner/base/metrics.h"
#include "runner/gateway/http_server.h"
#include "runner/gateway/listen.h"
#include "runner/redact/redactor.h"

namespace bulkhead::gateway {

// What the whole program is doing.
struct Readiness {
  std::atomic<bool> started{false};   // it does its work, as far as that can be done
  std::atomic<bool> draining{false};  // SIGTERM
};

struct PluginState {
  std::string name;
  std::string_view tier;
  agent::HostHealth health;
};

// What is told of. All are asked on the server's one thread: they must be quick.
struct AdminFacts {
  std::string_view starting;  // why it is not ready until it has started
  std::function<std::vector<PluginState>()> plugins;
  std::function<void(Value& detail)> more;  // adds members to /readyz; may be empty
  std::function<void()> measure;            // sets gauges, before /metrics; may be empty
};

// Everything outlives it. Thread-safe.
class Admin : public HttpHandler {
 public:
  Admin(const Readiness& readiness, AdminFacts facts, const policy::Holder& policies, const audit::AuditLog& audit,
        const redact::Redactor& redactor, Metrics& metrics);

  // Answers everything at once: no thread is taken.
  std::optional<HttpResponse> Admit(const rpc::RequestHead& head, const Peer& peer) override;
  void Handle(HttpRequest request) override;

 private:
  HttpResponse Ready() const;

  const Readiness& readiness_;
  const AdminFacts facts_;
  const policy::Holder& policies_;
  const audit::AuditLog& audit_;
  const redact::Redactor& redactor_;
  Metrics& metrics_;
};

// Serves it at `address`, which gets the port that was chosen when it is 0.
Result<std::unique_ptr<HttpServer>> StartAdmin(ListenAddress& address, Admin& admin, Metrics& metrics);

}  // namespace bulkhead::gateway

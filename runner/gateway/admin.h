// The answers for those who operate the gateway: GET /healthz, /readyz and /metrics. None needs a token, and none
// holds anything of a workflow or a secret.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/holder.h"
#include "runner/audit/audit_log.h"
#include "runner/base/metrics.h"
#include "runner/gateway/http_server.h"
#include "runner/gateway/plugin.h"
#include "runner/redact/redactor.h"

namespace bulkhead::gateway {

// What the whole program is doing.
struct Readiness {
  std::atomic<bool> started{false};   // plugins were started, as far as they can be
  std::atomic<bool> draining{false};  // SIGTERM
};

// Everything outlives it. Thread-safe.
class Admin : public HttpHandler {
 public:
  Admin(const Readiness& readiness, std::vector<Plugin*> plugins, const policy::Holder& policies,
        const audit::AuditLog& audit, const redact::Redactor& redactor, Metrics& metrics);

  // Answers everything at once: no thread is taken.
  std::optional<HttpResponse> Admit(const rpc::RequestHead& head, const Peer& peer) override;
  void Handle(HttpRequest request) override;

 private:
  HttpResponse Ready() const;

  const Readiness& readiness_;
  const std::vector<Plugin*> plugins_;
  const policy::Holder& policies_;
  const audit::AuditLog& audit_;
  const redact::Redactor& redactor_;
  Metrics& metrics_;
};

}  // namespace bulkhead::gateway

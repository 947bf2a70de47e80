// Gateway: answers Argo's plugin RPC for the plugins behind it.
//
//   POST /api/v1/<method>  ->  who asks?  ->  the plugins, in their compartments  ->  policy  ->  audit  ->  answer
//
// Who may ask: over mutual TLS, a client whose certificate has one of the URIs expected (the server checks it);
// in plain HTTP, who has the bearer token. A controller with the plugins of 2021 has no token: its hooks, and
// nothing else, may be asked without one from loopback, where that was chosen.
//
// 404 means to Argo that it need never ask again, for as long as the agent or the controller lives. So it is
// said only when no plugin declares the method, or each that does has answered 404 itself; a plugin that is
// down, refused or broken still counts as one that serves. "Not mine" is `{}`.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/audit/audit_log.h"
#include "runner/base/log.h"
#include "runner/gateway/bearer_token.h"
#include "runner/gateway/executions.h"
#include "runner/gateway/http_server.h"
#include "runner/gateway/outcome.h"

namespace bulkhead::gateway {

struct GatewayOptions {
  bool tls = false;                  // the listener is mutual TLS: who gets here is who may ask
  bool hooks_without_token = false;  // see above; plain HTTP only
  std::chrono::nanoseconds hook_deadline = std::chrono::milliseconds(900);  // Argo gives up after 1 s
  // A call of template.execute may go on while Argo's agent asks again: its fourth attempt of five gets the answer
  // of the first (28 s each, and 1, 2 and 4 s between them).
  std::chrono::nanoseconds execute_deadline = std::chrono::seconds(105);
};

// Everything outlives the gateway. `token`: null with TLS.
class Gateway : public HttpHandler {
 public:
  Gateway(GatewayOptions options, Services services, audit::AuditLog& audit, BearerToken* token, const Logger& log,
          std::function<void(const Error&)> on_audit_failure);

  std::optional<HttpResponse> Admit(const rpc::RequestHead& head, const Peer& peer) override;
  void Handle(HttpRequest request) override;

  // Until then every call is answered 503: plugins are still being started.
  void Open() { open_ = true; }

  // Writes what was counted of callers that were refused. To be called about once a second.
  void RecordRefusedCallers();

 private:
  std::string CallerOf(const HttpRequest& request) const;
  std::optional<HttpResponse> CheckCaller(const rpc::RequestHead& head, const Peer& peer, Method method);
  HttpResponse RefuseCaller(int status, std::string_view reason, std::string_view sentence, const Peer& peer);
  void Send(HttpRequest& request, const std::shared_ptr<Executions::Execution>& execution, Method method,
            Outcome outcome);
  void CountAnswer(Method method, const HttpResponse& response, SteadyTime began);

  struct RefusedCallers {
    uint64_t count = 0;
    std::string peer;
  };

  const GatewayOptions options_;
  const Services services_;
  audit::AuditLog& audit_;
  BearerToken* const token_;
  const Logger& log_;
  const std::function<void(const Error&)> on_audit_failure_;
  Executions executions_;
  std::atomic<bool> open_{false};

  std::mutex mutex_;
  std::map<std::string, RefusedCallers, std::less<>> refused_;  // by reason; guarded by mutex_
};

}  // namespace bulkhead::gateway

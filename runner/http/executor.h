// Executor: runs HTTP templates, as Argo's agent does (workflow/executor/agent.go of argo-workflows v4.1), under the
// egress policy.
//
// Different from Argo on purpose: what the policy does not list is refused; a name is resolved once and only an address
// that was checked is connected to; user information in URLs, ambiguous hosts and responses are refused; credentials
// (Authorization, Cookie, and every header whose value is a Secret's) leave the first origin with no redirect, and no
// Referer is sent; the response is bounded in bytes and time; the result is masked, and refused where it holds "{{"
// or control characters that no rule admits.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/base/secret.h"
#include "runner/base/value.h"
#include "runner/http/client.h"
#include "runner/http/egress.h"
#include "runner/http/egress_holder.h"
#include "runner/http/proxy.h"
#include "runner/http/resolver.h"
#include "runner/http/template.h"
#include "runner/redact/redactor.h"

namespace bulkhead::http {

// The value of a key of a Secret in a namespace; the error names both. Thread-safe.
using SecretLookup =
    std::function<Result<Secret>(std::string_view name_space, std::string_view secret, std::string_view key)>;

// Everything outlives the executor.
struct ExecutorOptions {
  const EgressPolicies* policies = nullptr;
  // In place of `policies`, for those that may be replaced: a task is judged by the ones in force when it begins.
  const EgressHolder* holder = nullptr;
  SecretLookup secrets;
  std::shared_ptr<const redact::Redactor> redactor;
  Resolver resolver = SystemResolver();
  ProxySettings proxies;
  std::string ca_folder = "/etc/ssl/certs/ca-certificates";  // where Argo mounts authorities
};

struct HttpTask {
  std::string_view name_space;
  std::string_view template_name;
  const Value* http = nullptr;  // template.http
};

// One request that was sent, or would have been.
struct HttpHop {
  std::string method;
  std::string url;      // without its query
  std::string rules;    // that allowed it; empty: it was refused
  std::string address;  // connected to
  int status = 0;
};

enum class HttpStop {
  kNone,       // a response was had, and judged by its status or the condition
  kPolicy,     // the egress policy, or what a result may hold
  kTransport,  // no response that can be trusted
  kTemplate,   // the template cannot be read, or a Secret of it
};

// All texts are redacted.
struct HttpOutcome {
  std::string phase;  // "Succeeded", "Failed", or "Error" for what Bulkhead refused
  std::string message;
  std::optional<std::string> result;  // outputs.result
  HttpStop stop = HttpStop::kNone;
  std::vector<HttpHop> hops;
  size_t response_bytes = 0;    // of the last response's body, as it came
  std::string response_sha256;  // empty: none
  size_t masked = 0;            // secrets masked in the result
  std::chrono::nanoseconds elapsed{0};
};

// Thread-safe.
class Executor {
 public:
  explicit Executor(ExecutorOptions options);

  HttpOutcome Execute(const HttpTask& task, SteadyTime deadline);

  // Ends what is under way, and refuses what comes later. Thread-safe.
  void Stop();

 private:
  class Run;

  const ExecutorOptions options_;
  Client client_;
  std::atomic<bool> stopped_{false};
};

// Why a response's body can't be a result, as the rest of a sentence; nullopt when it can. Argo expands "{{" wherever
// the result is used later; its internal markers change what the controller does. "}}" alone does nothing, and ends
// most nested JSON, so it stands.
std::optional<std::string> ResultRefusal(std::string_view body, ResultText text, bool braces);

}  // namespace bulkhead::http

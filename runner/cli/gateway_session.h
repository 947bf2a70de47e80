// What `bulkhead serve` does: plugins in compartments, the gateway before them, until it is told to stop.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "certs/server_context.h"
#include "runner/base/result.h"
#include "runner/cli/prepare.h"
#include "runner/gateway/gateway.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::cli {

struct ServeOptions {
  std::vector<std::string> listen;
  std::string metrics_listen;  // empty: nowhere
  std::vector<std::string> plugins;
  std::vector<std::string> policies;  // empty: none, every reply is refused
  std::string audit;
  std::optional<sandbox::Tier> tier;  // nullopt: auto
  RootFolders rootfs;
  std::vector<std::string> secret_files;

  std::string token_file;
  certs::TlsFiles tls;  // all empty: plain HTTP
  std::vector<std::string> client_uris;

  gateway::GatewayOptions gateway;
  std::chrono::nanoseconds start_timeout = std::chrono::seconds(20);
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(20);
  size_t workers = 16;
  bool verbose = false;
};

// Returns when SIGTERM or SIGINT has been obeyed: OK once what was under way is answered and recorded.
// kInvalidInput before anything was started; any other error is one that it could not go on with.
Status Serve(const ServeOptions& options);

}  // namespace bulkhead::cli

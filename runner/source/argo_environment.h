// What Argo's controller tells the agent by its environment (workflow/controller/agent.go).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runner/base/result.h"

namespace bulkhead::source {

struct ArgoSidecar {
  std::string container;  // the container's name: where its token lies
  std::string plugin;     // the same without "-executor-plugin": the plugin's name for policies
  std::string host;       // of loopback
  uint16_t port = 0;
};

// ARGO_PLUGIN_NAMES: a JSON list of container names. Empty text is an empty list.
Result<std::vector<std::string>> ReadPluginNames(const std::string& names);

// ARGO_PLUGIN_ADDRESSES beside it: "http://localhost:4355" each. kInvalidInput for lists of different lengths, and for
// an address that is not of loopback.
Result<std::vector<ArgoSidecar>> ReadSidecars(const std::string& names, const std::string& addresses);

}  // namespace bulkhead::source

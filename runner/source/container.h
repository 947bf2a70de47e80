// One core/v1 Container of a plugin's sidecar, read into a PluginManifest.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "runner/agent/plugin_manifest.h"
#include "runner/base/fields.h"

namespace bulkhead::source {

// What valueFrom can refer to: "<object>/<key>" to its bytes.
struct References {
  std::map<std::string, std::string, std::less<>> secrets;
  std::map<std::string, std::string, std::less<>> config_maps;
  std::optional<Value> pod;  // the agent's own, for fieldRef
};

// Reads `container` into `manifest`; adds what is wrong to `diagnostics`.
void ReadContainer(const Value& container, const References& references, Diagnostics& diagnostics,
                   agent::PluginManifest& manifest);

}  // namespace bulkhead::source

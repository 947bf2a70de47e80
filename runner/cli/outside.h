// Plugins that somebody else runs: Argo's sidecars in the agent's pod, and plugins elsewhere.
#pragma once

#include <string>
#include <vector>

#include "certs/server_context.h"
#include "policy/holder.h"
#include "runner/base/result.h"
#include "runner/cli/prepare.h"

namespace bulkhead::cli {

struct SidecarSettings {
  std::string names;      // ARGO_PLUGIN_NAMES
  std::string addresses;  // ARGO_PLUGIN_ADDRESSES
  std::string token_folder;
};

// Adds the sidecars to `prepared` and their tokens to `secrets`. Each is called only while the policies in force allow
// plain HTTP to it; `refusal` is set where they do not now. `policies` outlives the plugins.
Status AddSidecars(const SidecarSettings& settings, const std::string& name_space, const policy::Holder& policies,
                   std::vector<Prepared>& prepared, std::vector<redact::NamedSecret>& secrets);

// "NAME=https://HOST:PORT" each, or "NAME=https://HOST:PORT,spiffe://..." with the URI that its certificate must have;
// else that is PluginOfNamespace.
Status AddRemotePlugins(const std::vector<std::string>& remote, const std::string& name_space,
                        const certs::TlsFiles& files, std::vector<Prepared>& prepared);

// "spiffe://bulkhead.local/ns/<namespace>/plugin/<name>"
std::string PluginOfNamespace(const std::string& name_space, const std::string& name);

}  // namespace bulkhead::cli

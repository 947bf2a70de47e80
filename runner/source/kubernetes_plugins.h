// Plugin manifests, and what their env refers to, from the API server; each by a `get` of what is named and nothing
// else, so that a Role can name it too.
#pragma once

#include <string>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/secret.h"
#include "runner/kube/client.h"
#include "runner/source/manifest.h"

namespace bulkhead::source {

// ConfigMaps that `argo executor-plugin build` made.
Result<std::vector<PluginDocument>> FetchPluginConfigMaps(kube::Client& client, const std::string& name_space,
                                                          const std::vector<std::string>& names);

// spec.executorPlugins of a workflow (Argo 4.1, ARGO_WORKFLOW_LEVEL_EXECUTOR_PLUGINS); empty when it has none.
Result<std::vector<PluginDocument>> FetchWorkflowPlugins(kube::Client& client, const std::string& name_space,
                                                         const std::string& workflow);

// `pod`: the agent's own. The client outlives what is returned.
ObjectLookup LookupIn(kube::Client& client, const std::string& name_space, const std::string& pod);

// The value of one key of a Secret; kNotFound names both when it is not there.
Result<Secret> FetchSecret(kube::Client& client, const std::string& name_space, const std::string& name,
                           std::string_view key);

}  // namespace bulkhead::source

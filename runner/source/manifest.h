// Argo's plugin manifests: `kind: ExecutorPlugin` as authors write it, and the ConfigMap that
// `argo executor-plugin build` makes of it (label workflows.argoproj.io/configmap-type: ExecutorPlugin).
//
// Every field of the container is honoured, named in a notice, or refused; none is ignored in
// silence. `kind: Secret` and other ConfigMaps beside them serve secretKeyRef and configMapKeyRef.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runner/agent/plugin_manifest.h"
#include "runner/base/fields.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::source {

// The files of a folder (*.yaml, *.yml, *.json in name order, not hidden) or single files. All errors of
// all files come in one message. Two plugins of one name, or two on one port, are errors.
Result<std::vector<agent::PluginManifest>> LoadPlugins(const std::vector<std::string>& paths);

// The values of `kind: Secret` documents in the same files: "<name>/<key>" to bytes. Namespaces are not told apart.
Result<std::map<std::string, std::string, std::less<>>> LoadSecrets(const std::vector<std::string>& paths);

}  // namespace bulkhead::source

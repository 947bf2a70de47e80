// Argo's plugin manifests: `kind: ExecutorPlugin` as authors write it, and the ConfigMap that
// `argo executor-plugin build` makes of it (label workflows.argoproj.io/configmap-type: ExecutorPlugin).
//
// Every field of the container is honoured, named in a notice, or refused; none is ignored in
// silence. `kind: Secret` and other ConfigMaps beside them serve secretKeyRef and configMapKeyRef.
#pragma once

#include <functional>
#include <map>
#include <optional>
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

// One document and where it came from, for messages.
struct PluginDocument {
  std::string file;
  Value value;
};

// Fetches a "Secret" or "ConfigMap" of that name, or the agent's own "Pod" (its name is then empty), from where the
// plugins live; nullopt when there is none.
using ObjectLookup = std::function<Result<std::optional<Value>>(std::string_view kind, const std::string& name)>;

// The documents of files and folders, as LoadPlugins takes them.
Result<std::vector<PluginDocument>> ReadPluginDocuments(const std::vector<std::string>& paths);

// The same as LoadPlugins for documents, with `lookup` asked for what valueFrom names and no document holds, and only
// for that; it may be empty.
Result<std::vector<agent::PluginManifest>> ReadPlugins(std::vector<PluginDocument> documents,
                                                       const ObjectLookup& lookup);

// The values of `kind: Secret` documents in the same files: "<name>/<key>" to bytes. Namespaces are not told apart.
Result<std::map<std::string, std::string, std::less<>>> LoadSecrets(const std::vector<std::string>& paths);

}  // namespace bulkhead::source

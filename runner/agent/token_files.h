// The tokens that Argo's sidecars check: <folder>/<container>/token, made by `agent init` and read by `agent main`.
// Each plugin container mounts only its own folder (workflow/controller/agent.go).
#pragma once

#include <string>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/secret.h"

namespace bulkhead::agent {

// A folder of mode 0770 for each name, with a token of 32 random characters in a file of mode 0440. A token that is
// there already is replaced. kInvalidInput for a name that is no folder's.
Status MakeTokenFiles(const std::string& folder, const std::vector<std::string>& names);

Result<Secret> ReadTokenFile(const std::string& folder, const std::string& name);

}  // namespace bulkhead::agent

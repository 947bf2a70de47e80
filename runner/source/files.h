// Which files an argument names, and their bytes.
#pragma once

#include <string>
#include <vector>

#include "runner/base/result.h"

namespace bulkhead::source {

// As ExpandFolders, with the suffixes of manifests: *.yaml, *.yml and *.json.
Result<std::vector<std::string>> ExpandYamlPaths(const std::vector<std::string>& paths);

// At most 16 MiB; kInvalidInput naming the file otherwise. "-" is standard input.
Result<std::string> ReadInput(const std::string& file);

}  // namespace bulkhead::source

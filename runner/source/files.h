// Which files an argument names, and their bytes.
#pragma once

#include <string>
#include <vector>

#include "runner/base/result.h"

namespace bulkhead::source {

// A folder stands for its *.yaml, *.yml and *.json files in name order, hidden ones left out; a file for
// itself. kInvalidInput for a path that is not there and for a folder without such files.
Result<std::vector<std::string>> ExpandYamlPaths(const std::vector<std::string>& paths);

// At most 16 MiB; kInvalidInput naming the file otherwise. "-" is standard input.
Result<std::string> ReadInput(const std::string& file);

}  // namespace bulkhead::source

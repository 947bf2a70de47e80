// Which files the paths that a user gave stand for.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/result.h"

namespace bulkhead {

enum class Depth {
  kFolder,  // what stands in the folder itself
  kTree,    // and in the folders beneath it; links to folders are not followed
};

// A folder stands for its files with one of the suffixes (".yaml"), in name order; any other path for itself, and
// whoever reads it finds whether it is there. Links to files are followed. Left out are names that begin with a dot:
// hidden ones, and "..data" and the like, where Kubernetes keeps what the links in a mounted ConfigMap lead to.
//
// kInvalidInput, a line for each: a folder that cannot be read, holds no such file or more than 10000, and an entry
// with such a suffix that is no file, as a link to nothing. Passed over, it could be the policy that denies.
Result<std::vector<std::string>> ExpandFolders(const std::vector<std::string>& paths,
                                               std::initializer_list<std::string_view> suffixes,
                                               Depth depth = Depth::kFolder);

}  // namespace bulkhead

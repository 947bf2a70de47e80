// The token of a restricted plugin, which shares the file system with all others: /var/run/argo/token is
// a symbolic link to /proc/self/fd/5, which is, for each plugin, a sealed memory file of its own. So every
// plugin finds its token where Argo's documentation says, and none finds another's: reading another
// process's descriptors is refused by Landlock.
#pragma once

#include <memory>
#include <string>

#include "runner/base/result.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::sandbox {

// Several agents may use the link at once; the last one removes it. Not thread-safe.
class TokenLink {
 public:
  static Result<std::unique_ptr<TokenLink>> Create(const std::string& folder);
  ~TokenLink();
  TokenLink(const TokenLink&) = delete;
  TokenLink& operator=(const TokenLink&) = delete;

 private:
  TokenLink(std::string folder, UniqueFd lock, bool made_folder)
      : folder_(std::move(folder)), lock_(std::move(lock)), made_folder_(made_folder) {}
  const std::string folder_;
  const UniqueFd lock_;  // the folder, locked in shared mode
  const bool made_folder_;
};

}  // namespace bulkhead::sandbox

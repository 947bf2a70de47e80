// The policies in force, replaced as a whole: a reader sees the old set or the new one, never a mixture.
// Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "policy/policy.h"

namespace bulkhead::policy {

// What a reload did, for an audit record, a metric and /readyz.
struct Reload {
  enum class Kind { kUnchanged, kReplaced, kKept };
  Kind kind = Kind::kUnchanged;
  std::string digest;  // of the policies in force now
  size_t policies = 0;
  std::string error;  // kKept: why the new files are not in force; a line for each error
};

class Holder {
 public:
  // `paths` as for LoadPolicies.
  Holder(PolicySet first, std::vector<std::string> paths);

  // Keep the pointer for the time of a decision and of what it points into.
  std::shared_ptr<const PolicySet> Get() const;

  // Reads the files again. When any of them is wrong, what was in force stays in force.
  Reload Refresh();
  // The error of the last Refresh; unset when it went well, and before the first one.
  std::optional<std::string> Broken() const;

 private:
  const std::vector<std::string> paths_;
  std::mutex refreshing_;
  mutable std::mutex mutex_;
  // Shared, as a decision may outlast its replacement.
  std::shared_ptr<const PolicySet> policies_;
  std::optional<std::string> broken_;
};

}  // namespace bulkhead::policy

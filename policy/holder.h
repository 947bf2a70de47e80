// The policies in force, replaced as a whole: a reader sees the old set or the new one, never a mixture.
// Thread-safe.
#pragma once

#include <functional>
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
  std::string digest;  // over the files of the policies in force now, whatever kinds they hold
  size_t policies = 0;
  std::string error;  // kKept: why the new files are not in force; a line for each error
};

// Policies of another kind that lie in the same files: they come into force together with these, or none do.
class Companion {
 public:
  virtual ~Companion() = default;

  // Reads this kind's documents of all files. What it returns puts them in force; it is called when every kind could
  // be read, and must not fail. One Read at a time.
  virtual Result<std::function<void()>> Read(const std::vector<PolicyText>& texts) = 0;
};

class Holder {
 public:
  // `paths` as for ReadPolicyTexts; none: no policy, and nothing to reload. `companion` (null: none) outlives the
  // holder, and holds the documents of its kind when this returns. The error tells what is wrong with either kind.
  static Result<std::unique_ptr<Holder>> Load(std::vector<std::string> paths, Companion* companion = nullptr);

  // Keep the pointer for the time of a decision and of what it points into.
  std::shared_ptr<const PolicySet> Get() const;

  // Reads the files again. When anything in them is wrong, what was in force stays in force, of every kind.
  Reload Refresh();
  // The error of the last Refresh; unset when it went well, and before the first one.
  std::optional<std::string> Broken() const;

 private:
  // Everything that one reading of the files found, in force when `enforce` (null: nothing to do) was called.
  struct Reading {
    PolicySet policies;
    std::function<void()> enforce;
  };

  Holder(std::vector<std::string> paths, Companion* companion);
  Result<Reading> Read() const;
  void PutInForce(Reading reading);  // mutex_ is held

  const std::vector<std::string> paths_;
  Companion* const companion_;
  std::mutex refreshing_;
  mutable std::mutex mutex_;
  // Shared, as a decision may outlast its replacement.
  std::shared_ptr<const PolicySet> policies_;
  std::optional<std::string> broken_;
};

}  // namespace bulkhead::policy

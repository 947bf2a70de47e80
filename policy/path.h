// Paths of the policy language: `node.outputs.parameters[ts].value`, `node.outputs.parameters[*].name`,
// `workflow.metadata.labels["cost.example.com/centre"]`. A path names a leaf; where it passes a keyed list or a
// mapping it has a key.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/schema/schema.h"
#include "runner/base/diagnostic.h"
#include "runner/base/result.h"

namespace bulkhead::policy {

// A key as it stands in a path: `[ts]`, or `["a b"]` (JSON string) when it has other characters than letters,
// digits, '_', '-' and '.'.
std::string KeyStep(std::string_view key);
void AppendKeyStep(std::string_view key, std::string& out);

// The path of a leaf under keys, one for each `[]` of the leaf's path.
void AppendPath(const LeafSpec& leaf, std::span<const std::string_view> keys, std::string& out);

// Immutable.
class PathPattern {
 public:
  struct Key {
    bool any = false;  // [*]
    std::string text;  // when !any
  };

  PathPattern() = default;

  // What is wrong has an id (E010, E011, E012), a message, and where it can a hint; no place.
  struct Parsed;
  static Parsed Parse(std::string_view text);

  bool Matches(uint16_t leaf, std::span<const std::string_view> keys) const;
  // Matches a path as AppendPath writes it.
  bool Matches(std::string_view path) const;
  // Whether every path that `other` matches is matched by this one.
  bool Covers(const PathPattern& other) const;

  const std::string& text() const { return text_; }
  uint16_t leaf_id() const { return leaf_; }
  const LeafSpec& leaf() const { return Leaves()[leaf_]; }
  const std::vector<Key>& keys() const { return keys_; }
  // The protected set of the leaf; with a wildcard over keys of which some are protected: kNone.
  ProtectedSet set() const;

 private:
  std::string text_;
  uint16_t leaf_ = kNoLeaf;
  std::vector<Key> keys_;
};

struct PathPattern::Parsed {
  std::optional<PathPattern> path;  // unset: see `problem`
  Diagnostic problem;               // id, message, hint
};

}  // namespace bulkhead::policy

// Paths of the policy language: `node.outputs.parameters[ts].value`, `node.outputs.parameters[*].name`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runner/base/argo_schema.h"
#include "runner/base/result.h"

namespace bulkhead::policy {

// A key of a keyed list as it stands in a path: `[ts]`, or `["a b"]` (JSON string) when it has other
// characters than letters, digits, '_', '-' and '.'.
std::string KeyStep(std::string_view key);

// Immutable.
class PathPattern {
 public:
  // The error says what is wrong and, where it can, what to write; it names no place.
  static Result<PathPattern> Parse(std::string_view text);

  bool Matches(std::string_view path) const;
  const std::string& text() const { return text_; }
  const FieldSpec& leaf() const { return *leaf_; }
  // The protected set of the leaf; empty: none.
  std::string_view guard() const { return guard_; }

 private:
  std::string text_;
  std::vector<std::string> literals_;  // the text between wildcards
  const FieldSpec* leaf_ = nullptr;
  std::string_view guard_;
};

}  // namespace bulkhead::policy

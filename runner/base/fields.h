// Fields: strict reading of one YAML or JSON mapping. Every key must be asked for; what was not is an
// error with the nearest known name. Errors are collected, so that one pass shows all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/diagnostic.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead {

// Borrows `value` and `diagnostics`. `what` names the mapping in messages ("container"). An unknown key is E003.
class Fields {
 public:
  Fields(const Value& value, std::string_view what, Diagnostics& diagnostics);

  // The member, or nullptr when absent or null. Marks the key as known.
  const Value* Any(std::string_view key);
  // The same, with an error when the kind differs.
  const Value* OfKind(std::string_view key, Value::Kind kind);
  std::optional<std::string> String(std::string_view key);
  std::optional<bool> Bool(std::string_view key);
  std::optional<int64_t> Int(std::string_view key, int64_t least, int64_t most);
  std::vector<std::string> Strings(std::string_view key);
  // Adds an error when `key` is absent.
  std::string RequiredString(std::string_view key);
  // Refuses the key, when present, with a reason.
  void Refuse(std::string_view key, std::string_view reason);
  // Marks a key as known without reading it.
  void Ignore(std::string_view key) { known_.insert(std::string(key)); }
  // To be called last: an error for each key that was never asked for.
  void Done();

  Position at() const { return value_.at; }

 private:
  const Value& value_;
  const std::string what_;
  Diagnostics& diagnostics_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace bulkhead

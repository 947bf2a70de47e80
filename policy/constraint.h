// The `value:` of a rule: what a leaf's new value must be like. All constraints given must hold.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/path.h"
#include "runner/base/fields.h"
#include "runner/base/value.h"

namespace re2 {
class RE2;
}

namespace bulkhead::policy {

enum class Charset { kToken, kPrintable, kText };

// Immutable after ReadConstraint.
struct Constraint {
  Constraint();
  ~Constraint();
  Constraint(Constraint&&) noexcept;
  Constraint& operator=(Constraint&&) noexcept;

  std::optional<std::string> constant;
  std::vector<std::string> choices;   // enum; empty: none given
  std::unique_ptr<re2::RE2> pattern;  // a full match
  std::string prefix;
  std::string type;  // "string", "integer", "number", "boolean"
  std::optional<double> min, max;
  std::optional<size_t> max_bytes;
  std::optional<Charset> charset;
  std::optional<std::chrono::nanoseconds> least, most;  // duration

  // Why `value` does not do, as the rest of a sentence that begins with the path ("must be one of ...");
  // nullopt when it does. Never holds the value.
  std::optional<std::string> Violation(const Value& value) const;
  // Whether the rule names this very value.
  bool Names(std::string_view text) const;
};

// Reads the mapping `value` for a rule on `leaf`; what is wrong goes to `diagnostics`.
Constraint ReadConstraint(const Value& value, const FieldSpec& leaf, Diagnostics& diagnostics);

// No control characters but, for `lines`, tab and newline; no bidirectional controls, no U+2028, U+2029.
bool IsHarmlessText(std::string_view text, bool lines);

}  // namespace bulkhead::policy

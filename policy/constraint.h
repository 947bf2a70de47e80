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

enum class Charset : uint8_t { kToken, kPrintable, kText };

// `url: {schemes, hosts, ports, pathPrefix}`. Userinfo, IP literals that are not listed, empty hosts, dot segments,
// backslashes, percent-encoded dots and slashes are never allowed.
struct UrlConstraint {
  std::vector<std::string> schemes;  // lower case; empty: https only
  std::vector<std::string> hosts;    // exact, or "*.example.com" for names below it; needed
  std::vector<uint16_t> ports;       // empty: the scheme's own
  std::string path_prefix;           // must end in '/'; empty: any
};

// A leaf's value without its tree: kNull for "none".
struct Scalar {
  Value::Kind kind = Value::Kind::kNull;
  bool boolean = false;
  std::string_view text;  // kString, kNumber
};

// What `declared` and `unchanged` need of the call.
struct ValueContext {
  Scalar before = {};                       // what the leaf was
  const Value* template_outputs = nullptr;  // `outputs` of the template that was sent; null: none
  std::string_view list = {};               // "parameters" or "artifacts": the keyed list the leaf is in, if any
  std::string_view key = {};                // the entry's name
};

// Copyable; immutable after ReadConstraint. Every member is as written; empty or unset where not given.
struct Constraint {
  std::optional<std::string> constant;
  std::vector<std::string> choices;         // enum
  std::string pattern;                      // its text
  std::shared_ptr<const re2::RE2> matcher;  // a full match; shared, as copies of a rule need no second machine
  std::string prefix;
  std::string type;  // "string", "integer", "number", "boolean"
  std::optional<double> min, max;
  std::optional<size_t> max_bytes;
  std::optional<Charset> charset;
  std::optional<UrlConstraint> url;
  std::optional<std::chrono::nanoseconds> least, most;  // duration
  bool declared = false;                                // the name is one of template.outputs
  bool unchanged = false;                               // the value is what it was

  // Fit for a terminal, made once: what a refusal quotes.
  std::string shown_constant, shown_choices, shown_pattern, shown_prefix;

  // Where each key stood, by name ("enum", "pattern"), for lints; in the order of the file.
  std::vector<std::pair<std::string, Position>> places;

  // Whether `value` does. If not, and `why` is given, the rest of a sentence that begins with the path is appended to
  // it ("must be one of ..."). It never shows the value.
  bool Admits(const Scalar& value, const ValueContext& context, std::string* why) const;
  // Whether the rule names this very value.
  bool Names(std::string_view text) const;
};

// Reads the mapping `value` for a rule on `leaf`; what is wrong goes to `diagnostics`.
Constraint ReadConstraint(const Value& value, const LeafSpec& leaf, Diagnostics& diagnostics);

}  // namespace bulkhead::policy

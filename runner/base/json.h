// A strict JSON reader (RFC 8259) for hostile bytes.
//
// Refused, each with its reason and place: invalid UTF-8 and lone surrogates, a byte-order mark,
// anything after the document, duplicate keys, also when they differ only by case or by Unicode
// simple folding (Go's encoding/json matches keys that way, so "Phase" beside "phase", and
// "pha\u017fe", would be one key to it), numbers that are no JSON numbers, and whatever exceeds
// the limits. The reader is recursive only to limits.depth and never throws.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead {

struct JsonLimits {
  size_t bytes = 1U << 20U;         // whole document
  size_t depth = 64;                // nested arrays and objects
  size_t values = 100'000;          // all values in the tree
  size_t string_bytes = 1U << 20U;  // one string, after unescaping
  // False: keys that differ only by case or folding are two keys; the same key twice is refused all the same. For
  // documents of Kubernetes, where labels `App` and `app` may stand side by side.
  bool fold_keys = true;
};

// Why a document was refused: a stable id for policies, audit records and tests.
enum class JsonFault {
  kNone,
  kSyntax,
  kTrailingData,
  kInvalidUtf8,
  kDuplicateKey,
  kTooLarge,
  kTooDeep,
  kTooManyValues,
};
std::string_view JsonFaultName(JsonFault fault);  // "duplicate-key", ...

struct JsonError {
  JsonFault fault = JsonFault::kNone;
  size_t offset = 0;    // byte offset in the input
  std::string pointer;  // RFC 6901 JSON pointer of the innermost value being read
  std::string message;  // a sentence; holds no text of the input beyond the pointer
};

struct JsonParse {
  bool ok = false;
  Value value;      // when ok
  JsonError error;  // when !ok
};

// Positions in the tree are line and column of each value.
JsonParse ParseJson(std::string_view bytes, const JsonLimits& limits = {});

// True when a Go decoder would take `a` for `b` (ASCII case and Unicode simple folding; the only
// non-ASCII runes that fold to ASCII letters are U+017F to s and U+212A to k).
bool FoldsTo(std::string_view a, std::string_view b);
// Their order by folded characters: below 0, 0 or above 0.
int CompareFolded(std::string_view a, std::string_view b);

}  // namespace bulkhead

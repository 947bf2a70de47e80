// Small pure functions on text. All are thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/result.h"

namespace bulkhead {

// Levenshtein distance of bytes, at most `bound` + 1.
size_t EditDistance(std::string_view a, std::string_view b, size_t bound = 16);

// The candidate nearest to `word` if it is near enough to be a typo (at most a third of its length, at
// least 1), else nullopt. Ties go to the earlier candidate.
std::optional<std::string_view> Nearest(std::string_view word, std::span<const std::string_view> candidates);

// " (did you mean \"x\"?)" or "" when nothing is near: to append to a diagnostic.
std::string DidYouMean(std::string_view word, std::span<const std::string_view> candidates);

// Go's time.ParseDuration ("1h30m", "250ms", "-1.5s", "0"); nullopt when it would fail or overflow.
std::optional<std::chrono::nanoseconds> ParseGoDuration(std::string_view text);
// Go's Duration.String ("1h30m0s", "250ms", "0s").
std::string FormatGoDuration(std::chrono::nanoseconds duration);

// A Kubernetes resource.Quantity as a number of base units, rounded up ("64Mi", "1.5Gi", "1e3",
// "250m" is 1). nullopt when malformed, negative or over INT64_MAX.
std::optional<int64_t> ParseQuantity(std::string_view text);
// The same in thousandths, for CPU ("250m" is 250, "2" is 2000).
std::optional<int64_t> ParseMilliQuantity(std::string_view text);

inline bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
// The letters A to Z in lower case; every other byte stays as it is.
std::string ToLower(std::string_view text);

bool IsValidUtf8(std::string_view text);

// `text` fit for a terminal or a log line: control characters (C0, DEL, C1), bidirectional controls,
// U+2028 and U+2029 and invalid UTF-8 become visible escapes such as \n, \x1b, \u202e.
std::string EscapeForTerminal(std::string_view text);

std::string HexEncode(std::string_view bytes);
std::string Base64Encode(std::string_view bytes);
std::optional<std::string> Base64Decode(std::string_view text);  // RFC 4648 section 4, padding required

// SHA-256 of `bytes`, in lower-case hex.
std::string Sha256Hex(std::string_view bytes);

// "2026-01-31T12:00:00.123456Z": RFC 3339 in UTC with microseconds.
std::string FormatTimestamp(std::chrono::system_clock::time_point time);

std::vector<std::string> Split(std::string_view text, char separator);
std::string Join(std::span<const std::string> parts, std::string_view separator);

}  // namespace bulkhead

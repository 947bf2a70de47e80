#include "runner/base/text.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <limits>

namespace bulkhead {

size_t EditDistance(std::string_view a, std::string_view b, size_t bound) {
  const size_t difference = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (difference > bound) return bound + 1;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return std::min(row.back(), bound + 1);
}

std::optional<std::string_view> Nearest(std::string_view word, std::span<const std::string_view> candidates) {
  const size_t allowed = std::max<size_t>(1, word.size() / 3);
  size_t best = allowed + 1;
  std::optional<std::string_view> nearest;
  for (const std::string_view candidate : candidates) {
    const size_t distance = EditDistance(word, candidate, allowed);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string DidYouMean(std::string_view word, std::span<const std::string_view> candidates) {
  const auto nearest = Nearest(word, candidates);
  if (!nearest) return "";
  return " (did you mean \"" + std::string(*nearest) + "\"?)";
}

// --- durations ----------------------------------------------------------------------------------

namespace {

// The unit at the start of `text`, removed from it; 0 when there is none.
int64_t TakeDurationUnit(std::string_view& text) {
  struct Unit {
    std::string_view name;
    int64_t nanoseconds;
  };
  // Both micro signs: U+00B5 and U+03BC.
  static constexpr std::array<Unit, 8> kUnits = {{{"ns", 1},
                                                  {"us", 1'000},
                                                  {"\xC2\xB5s", 1'000},
                                                  {"\xCE\xBCs", 1'000},
                                                  {"ms", 1'000'000},
                                                  {"s", 1'000'000'000},
                                                  {"m", 60'000'000'000},
                                                  {"h", 3'600'000'000'000}}};
  const size_t length = std::min(text.find_first_of(".0123456789"), text.size());
  const std::string_view name = text.substr(0, length);
  for (const Unit& unit : kUnits) {
    if (unit.name == name) {
      text.remove_prefix(length);
      return unit.nanoseconds;
    }
  }
  return 0;
}

}  // namespace

std::optional<std::chrono::nanoseconds> ParseGoDuration(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return std::chrono::nanoseconds(0);
  if (text.empty()) return std::nullopt;
  __int128 total = 0;
  constexpr __int128 kMax = std::numeric_limits<int64_t>::max();
  while (!text.empty()) {
    __int128 whole = 0;
    bool digits = false;
    while (!text.empty() && IsDigit(text[0])) {
      whole = whole * 10 + (text[0] - '0');
      if (whole > kMax) return std::nullopt;
      text.remove_prefix(1);
      digits = true;
    }
    __int128 fraction = 0;
    __int128 scale = 1;
    if (!text.empty() && text[0] == '.') {
      text.remove_prefix(1);
      while (!text.empty() && IsDigit(text[0])) {
        // Digits beyond what nanoseconds of an hour can show are dropped, as Go does.
        if (scale < 1'000'000'000'000'000) {
          fraction = fraction * 10 + (text[0] - '0');
          scale *= 10;
        }
        text.remove_prefix(1);
        digits = true;
      }
    }
    if (!digits) return std::nullopt;
    const int64_t unit = TakeDurationUnit(text);
    if (unit == 0) return std::nullopt;
    total += whole * unit + fraction * unit / scale;
    if (total > kMax) return std::nullopt;
  }
  const auto count = static_cast<int64_t>(total);
  return std::chrono::nanoseconds(negative ? -count : count);
}

std::string FormatGoDuration(std::chrono::nanoseconds duration) {
  if (duration.count() == 0) return "0s";
  const bool negative = duration.count() < 0;
  // Through unsigned: the most negative count has no positive counterpart.
  const uint64_t all = negative ? 0 - static_cast<uint64_t>(duration.count()) : static_cast<uint64_t>(duration.count());
  const auto with_fraction = [](uint64_t count, uint64_t unit) {
    std::string text = std::to_string(count / unit);
    uint64_t rest = count % unit;
    if (rest == 0) return text;
    text += '.';
    for (uint64_t digit = unit / 10; rest != 0; digit /= 10) {
      text += static_cast<char>('0' + rest / digit);
      rest %= digit;
    }
    return text;
  };
  std::string text = negative ? "-" : "";
  if (all < 1'000) return text + std::to_string(all) + "ns";
  if (all < 1'000'000) return text + with_fraction(all, 1'000) + "\xC2\xB5s";
  if (all < 1'000'000'000) return text + with_fraction(all, 1'000'000) + "ms";
  const uint64_t hours = all / 3'600'000'000'000;
  const uint64_t minutes = all / 60'000'000'000 % 60;
  if (hours > 0) text += std::to_string(hours) + "h";
  if (hours > 0 || minutes > 0) text += std::to_string(minutes) + "m";
  return text + with_fraction(all % 60'000'000'000, 1'000'000'000) + "s";
}

// --- quantities ---------------------------------------------------------------------------------

namespace {

// `text` in thousandths of a unit, rounded up, or nullopt.
std::optional<__int128> ParseQuantityMilli(std::string_view text) {
  size_t at = 0;
  __int128 mantissa = 0;
  int decimals = 0;
  bool digits = false;
  bool point = false;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && !point) {
      point = true;
    } else if (IsDigit(text[at])) {
      if (mantissa > static_cast<__int128>(1) << 90) return std::nullopt;
      mantissa = mantissa * 10 + (text[at] - '0');
      decimals += point ? 1 : 0;
      digits = true;
    } else {
      break;
    }
  }
  // With more decimals the comparison below would not fit.
  if (!digits || decimals > 16) return std::nullopt;
  const std::string_view suffix = text.substr(at);
  __int128 numerator = 1000;
  if (suffix == "m") {
    numerator = 1;
  } else if (!suffix.empty() && (suffix[0] == 'e' || suffix[0] == 'E') && suffix.size() > 1) {
    int exponent = 0;
    for (const char c : suffix.substr(1)) {
      if (!IsDigit(c) || exponent > 18) return std::nullopt;
      exponent = exponent * 10 + (c - '0');
    }
    if (exponent > 18) return std::nullopt;
    for (int i = 0; i < exponent; ++i) numerator *= 10;
  } else if (!suffix.empty()) {
    constexpr std::string_view kPrefixes = "kMGTPE";
    constexpr std::string_view kBinaryPrefixes = "KMGTPE";
    const bool binary = suffix.size() == 2 && suffix[1] == 'i';
    if (!binary && suffix.size() != 1) return std::nullopt;
    const size_t power = (binary ? kBinaryPrefixes : kPrefixes).find(suffix[0]);
    if (power == std::string_view::npos) return std::nullopt;
    for (size_t i = 0; i <= power; ++i) numerator *= binary ? 1024 : 1000;
  }
  __int128 denominator = 1;
  for (int i = 0; i < decimals; ++i) denominator *= 10;
  constexpr __int128 kMax = static_cast<__int128>(std::numeric_limits<int64_t>::max()) * 1000;
  if (mantissa != 0 && numerator > (kMax * denominator) / mantissa) return std::nullopt;
  return (mantissa * numerator + denominator - 1) / denominator;
}

}  // namespace

std::optional<int64_t> ParseQuantity(std::string_view text) {
  const auto milli = ParseQuantityMilli(text);
  if (!milli) return std::nullopt;
  return static_cast<int64_t>((*milli + 999) / 1000);
}

std::optional<int64_t> ParseMilliQuantity(std::string_view text) {
  const auto milli = ParseQuantityMilli(text);
  if (!milli || *milli > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return static_cast<int64_t>(*milli);
}

// --- UTF-8 --------------------------------------------------------------------------------------

namespace {

// The length of the well-formed sequence at the start of `text` and its code point, or 0
// (Unicode 15, table 3-7).
size_t DecodeUtf8(std::string_view text, uint32_t& rune) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0U) == 0x80U; };
  const uint8_t first = byte(0);
  if (first < 0x80) {
    rune = first;
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF && continues(1)) {
    rune = (first & 0x1FU) << 6U | (byte(1) & 0x3FU);
    return 2;
  }
  if ((first & 0xF0U) == 0xE0U && continues(1) && continues(2)) {
    rune = (first & 0x0FU) << 12U | (byte(1) & 0x3FU) << 6U | (byte(2) & 0x3FU);
    return rune >= 0x800 && (rune < 0xD800 || rune > 0xDFFF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4 && continues(1) && continues(2) && continues(3)) {
    rune = (first & 0x07U) << 18U | (byte(1) & 0x3FU) << 12U | (byte(2) & 0x3FU) << 6U | (byte(3) & 0x3FU);
    return rune >= 0x10000 && rune <= 0x10FFFF ? 4 : 0;
  }
  return 0;
}

bool HiddenOnTerminal(uint32_t rune) {
  return rune < 0x20 || (rune >= 0x7F && rune < 0xA0) || rune == 0x61C || (rune >= 0x200B && rune <= 0x200F) ||
         (rune >= 0x2028 && rune <= 0x202E) || (rune >= 0x2060 && rune <= 0x206F) || rune == 0xFEFF ||
         (rune >= 0xE0000 && rune <= 0xE007F);
}

constexpr std::string_view kHexDigits = "0123456789abcdef";

void AppendHexByte(std::string_view prefix, uint8_t byte, std::string& out) {
  out += prefix;
  out += kHexDigits[byte >> 4U];
  out += kHexDigits[byte & 0xFU];
}

void AppendVisible(uint32_t rune, std::string& out) {
  switch (rune) {
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  if (rune < 0x100) {
    AppendHexByte("\\x", static_cast<uint8_t>(rune), out);
  } else if (rune < 0x10000) {
    AppendHexByte("\\u", static_cast<uint8_t>(rune >> 8U), out);
    AppendHexByte("", static_cast<uint8_t>(rune), out);
  } else {
    AppendHexByte("\\U00", static_cast<uint8_t>(rune >> 16U), out);
    AppendHexByte("", static_cast<uint8_t>(rune >> 8U), out);
    AppendHexByte("", static_cast<uint8_t>(rune), out);
  }
}

}  // namespace

std::string ToLower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    uint32_t rune = 0;
    const size_t length = DecodeUtf8(text, rune);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string EscapeForTerminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    uint32_t rune = 0;
    const size_t length = DecodeUtf8(text, rune);
    if (length == 0) {
      AppendHexByte("\\x", static_cast<uint8_t>(text[0]), out);
      text.remove_prefix(1);
      continue;
    }
    if (HiddenOnTerminal(rune)) {
      AppendVisible(rune, out);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

// --- encodings ----------------------------------------------------------------------------------

std::string HexEncode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) AppendHexByte("", static_cast<uint8_t>(c), out);
  return out;
}

namespace {
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}  // namespace

std::string Base64Encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8U | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0U);
    for (size_t j = 0; j < 4; ++j) {
      out += i + j <= bytes.size() ? kBase64[group >> (18 - 6 * j) & 0x3FU] : '=';
    }
  }
  return out;
}

std::optional<std::string> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t group = 0;
    size_t padding = 0;
    for (size_t j = 0; j < 4; ++j) {
      const char c = text[i + j];
      size_t digit = kBase64.find(c);
      if (c == '=' && i + 4 == text.size() && j >= 2 && (padding > 0 || j == 3 || text[i + 3] == '=')) {
        ++padding;
        digit = 0;
      } else if (digit == std::string_view::npos || padding > 0) {
        return std::nullopt;
      }
      group = group << 6U | static_cast<uint32_t>(digit);
    }
    // Bits that the padding cuts off must be zero, so that every text has one meaning.
    if ((padding == 1 && (group & 0xFFU) != 0) || (padding == 2 && (group & 0xFFFFU) != 0)) return std::nullopt;
    for (size_t j = 0; j + padding < 3; ++j) out += static_cast<char>(group >> (16 - 8 * j) & 0xFFU);
  }
  return out;
}

std::string Sha256Hex(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return HexEncode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string FormatTimestamp(std::chrono::system_clock::time_point time) {
  using std::chrono::duration_cast;
  const auto since = duration_cast<std::chrono::microseconds>(time.time_since_epoch());
  auto seconds = static_cast<std::time_t>(since.count() / 1'000'000);
  auto micros = since.count() % 1'000'000;
  if (micros < 0) {
    micros += 1'000'000;
    --seconds;
  }
  std::tm parts = {};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> date;
  const size_t length = std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S.", &parts);
  std::string digits = std::to_string(micros);
  return std::string(date.data(), length) + std::string(6 - digits.size(), '0') + digits + "Z";
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string Join(std::span<const std::string> parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (&part != parts.data()) out += separator;
    out += part;
  }
  return out;
}

}  // namespace bulkhead

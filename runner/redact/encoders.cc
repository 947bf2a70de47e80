#include "runner/redact/encoders.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "runner/base/text.h"
#include "runner/base/value.h"

namespace bulkhead::redact {

namespace {

// A form shorter than this says little of the secret and would mask ordinary text.
constexpr size_t kShortestForm = 6;

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; });
  return text;
}

// The characters of base64(prefix of `skipped` bytes + secret + anything) that only the secret determines.
std::string AlignedBase64(std::string_view secret, size_t skipped) {
  std::string padded(skipped, '\0');
  padded += secret;
  const size_t first = (skipped * 8 + 5) / 6;
  const size_t end = padded.size() * 8 / 6;
  return Base64Encode(padded).substr(first, end - first);
}

std::string UrlAlphabet(std::string text) {
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

enum class HexCase { kLower, kUpper };

template <typename Keep>
std::string Percent(std::string_view secret, HexCase hex_case, Keep keep) {
  std::string out;
  for (const char c : secret) {
    if (keep(c)) {
      out += c;
      continue;
    }
    const std::string hex = HexEncode({&c, 1});
    out += "%" + (hex_case == HexCase::kUpper ? Upper(hex) : hex);
  }
  return out;
}

// JSON with non-ASCII characters as \u escapes, as Python's json.dumps writes it.
std::string AsciiJson(std::string_view secret) {
  std::string out;
  const std::string plain = [&] {
    std::string quoted;
    AppendJsonString(secret, quoted);
    return quoted.substr(1, quoted.size() - 2);
  }();
  for (size_t i = 0; i < plain.size();) {
    const auto lead = static_cast<uint8_t>(plain[i]);
    if (lead < 0x80) {
      out += plain[i++];
      continue;
    }
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    uint32_t rune = lead & (0x7FU >> length);
    for (size_t k = 1; k < length && i + k < plain.size(); ++k)
      rune = (rune << 6U) | (static_cast<uint8_t>(plain[i + k]) & 0x3FU);
    const auto unit = [&](uint32_t value) {
      const std::array<char, 2> bytes = {static_cast<char>(value >> 8U), static_cast<char>(value & 0xFFU)};
      out += "\\u" + HexEncode({bytes.data(), bytes.size()});
    };
    if (rune >= 0x10000) {
      unit(0xD800 + ((rune - 0x10000) >> 10U));
      unit(0xDC00 + ((rune - 0x10000) & 0x3FFU));
    } else {
      unit(rune);
    }
    i += length;
  }
  return out;
}

std::string Replaced(std::string_view text, std::initializer_list<std::pair<char, std::string_view>> table) {
  std::string out;
  for (const char c : text) {
    const auto* const found =
        std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.first == c; });
    if (found == table.end()) {
      out += c;
    } else {
      out += found->second;
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> EncodedForms(std::string_view secret) {
  std::vector<std::string> forms;
  const auto add = [&](std::string form) {
    if (form.size() >= kShortestForm && std::find(forms.begin(), forms.end(), form) == forms.end())
      forms.push_back(std::move(form));
  };
  add(std::string(secret));
  for (size_t skipped = 0; skipped < 3; ++skipped) {
    const std::string base64 = AlignedBase64(secret, skipped);
    add(base64);
    add(UrlAlphabet(base64));
  }
  add(HexEncode(secret));
  add(Upper(HexEncode(secret)));
  for (const HexCase hex_case : {HexCase::kUpper, HexCase::kLower}) {
    add(Percent(secret, hex_case, IsUnreserved));
    add(Percent(secret, hex_case,
                [](char c) { return IsUnreserved(c) || std::string_view("!'()*").find(c) != std::string_view::npos; }));
    add(Replaced(Percent(secret, hex_case, [](char c) { return IsUnreserved(c) || c == ' '; }), {{' ', "+"}}));
    add(Percent(secret, hex_case, [](char) { return false; }));
  }
  if (IsValidUtf8(secret)) {
    std::string json;
    AppendJsonString(secret, json);
    json = json.substr(1, json.size() - 2);
    add(json);
    add(AsciiJson(secret));
    add(Replaced(secret, {{'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\r', "\\r"}, {'\t', "\\t"}}));
    add(Replaced(secret, {{'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\r', "\\r"}, {'\t', "\\t"}, {'/', "\\/"}}));
  }
  add(Replaced(secret, {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&#34;"}, {'\'', "&#39;"}}));
  add(Replaced(secret, {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#x27;"}}));
  add(Replaced(secret, {{'\'', "\\'"}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\r', "\\r"}, {'\t', "\\t"}}));
  add(Replaced(secret, {{'\'', "'\\''"}}));
  add(EscapeForTerminal(secret));
  return forms;
}

}  // namespace bulkhead::redact

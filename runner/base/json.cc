#include "runner/base/json.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace bulkhead {

std::string_view JsonFaultName(JsonFault fault) {
  switch (fault) {
    case JsonFault::kNone: return "none";
    case JsonFault::kSyntax: return "syntax";
    case JsonFault::kTrailingData: return "trailing-data";
    case JsonFault::kInvalidUtf8: return "invalid-utf8";
    case JsonFault::kDuplicateKey: return "duplicate-key";
    case JsonFault::kTooLarge: return "too-large";
    case JsonFault::kTooDeep: return "too-deep";
    case JsonFault::kTooManyValues: return "too-many-values";
  }
  return "none";
}

namespace {

// The next folded character of `text`, removed from it: ASCII letters in lower case, U+017F as s and
// U+212A as k, any other byte as it is.
char TakeFolded(std::string_view& text) {
  if (text.starts_with("\xC5\xBF")) {
    text.remove_prefix(2);
    return 's';
  }
  if (text.starts_with("\xE2\x84\xAA")) {
    text.remove_prefix(3);
    return 'k';
  }
  const char c = text.front();
  text.remove_prefix(1);
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

std::string Folded(std::string_view text) {
  std::string out;
  while (!text.empty()) out += TakeFolded(text);
  return out;
}

}  // namespace

bool FoldsTo(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (TakeFolded(a) != TakeFolded(b)) return false;
  }
  return a.empty() && b.empty();
}

namespace {

// Bytes of a string that need no look: no quote, no backslash, no control, ASCII.
constexpr std::array<bool, 256> MakePlain() {
  std::array<bool, 256> plain = {};
  for (size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = MakePlain();

// Members of one object up to which each pair of keys is compared; above it keys are sorted.
constexpr size_t kCompareDirectly = 8;

class Parser {
 public:
  Parser(std::string_view bytes, const JsonLimits& limits) : bytes_(bytes), limits_(limits) {}

  JsonParse Run() {
    JsonParse parse;
    if (bytes_.size() > limits_.bytes) {
      Fail(JsonFault::kTooLarge, "the document is larger than " + std::to_string(limits_.bytes) + " bytes");
    } else if (bytes_.starts_with("\xEF\xBB\xBF")) {
      Fail(JsonFault::kSyntax, "a byte-order mark is not allowed");
    } else {
      SkipSpace();
      if (ParseValue(parse.value, 0)) {
        SkipSpace();
        if (at_ < bytes_.size()) Fail(JsonFault::kTrailingData, "there is data after the document");
      }
    }
    parse.ok = error_.fault == JsonFault::kNone;
    if (!parse.ok) {
      // The path refers to keys in the tree: it is written out before the tree goes.
      for (const Step& step : path_) AppendPointer(step);
      parse.value = Value();
      parse.error = std::move(error_);
    }
    return parse;
  }

 private:
  struct Step {
    const std::string* key;  // null: an array
    size_t index;
  };

  bool Fail(JsonFault fault, std::string message) {
    if (error_.fault != JsonFault::kNone) return false;
    error_.fault = fault;
    error_.offset = at_;
    error_.message = std::move(message);
    return false;
  }

  bool Syntax(std::string_view expected) {
    return Fail(JsonFault::kSyntax, at_ >= bytes_.size()
                                        ? "the document ends where " + std::string(expected) + " should stand"
                                        : "expected " + std::string(expected));
  }

  void AppendPointer(const Step& step) {
    error_.pointer += '/';
    if (step.key == nullptr) {
      error_.pointer += std::to_string(step.index);
      return;
    }
    for (const char c : *step.key) {
      if (c == '~') {
        error_.pointer += "~0";
      } else if (c == '/') {
        error_.pointer += "~1";
      } else {
        error_.pointer += c;
      }
    }
  }

  char Peek() const { return at_ < bytes_.size() ? bytes_[at_] : '\0'; }

  void SkipSpace() {
    while (at_ < bytes_.size()) {
      const char c = bytes_[at_];
      if (c == '\n') {
        ++line_;
        line_start_ = at_ + 1;
      } else if (c != ' ' && c != '\t' && c != '\r') {
        return;
      }
      ++at_;
    }
  }

  Position Here() const { return {line_, static_cast<uint32_t>(at_ - line_start_ + 1)}; }

  bool ParseValue(Value& value, size_t depth) {
    value.at = Here();
    if (++values_ > limits_.values) {
      return Fail(JsonFault::kTooManyValues, "there are more than " + std::to_string(limits_.values) + " values");
    }
    switch (Peek()) {
      case '{': return ParseObject(value, depth);
      case '[': return ParseArray(value, depth);
      case '"': value.kind = Value::Kind::kString; return ParseString(value.text);
      case 't':
        value.kind = Value::Kind::kBool;
        value.boolean = true;
        return ParseWord("true");
      case 'f': value.kind = Value::Kind::kBool; return ParseWord("false");
      case 'n': return ParseWord("null");
      default: value.kind = Value::Kind::kNumber; return ParseNumber(value.text);
    }
  }

  bool ParseWord(std::string_view word) {
    if (bytes_.substr(at_, word.size()) != word) return Syntax("a value");
    at_ += word.size();
    return true;
  }

  bool Enter(size_t depth) {
    if (depth < limits_.depth) return true;
    return Fail(JsonFault::kTooDeep, "arrays and objects are nested deeper than " + std::to_string(limits_.depth));
  }

  bool ParseArray(Value& value, size_t depth) {
    if (!Enter(depth)) return false;
    value.kind = Value::Kind::kArray;
    ++at_;
    SkipSpace();
    if (Peek() == ']') {
      ++at_;
      return true;
    }
    path_.push_back({nullptr, 0});
    for (;;) {
      path_.back().index = value.items.size();
      if (!ParseValue(value.items.emplace_back(), depth + 1)) return false;
      SkipSpace();
      if (Peek() == ']') break;
      if (Peek() != ',') return Syntax("\",\" or \"]\"");
      ++at_;
      SkipSpace();
    }
    path_.pop_back();
    ++at_;
    return true;
  }

  bool ParseObject(Value& value, size_t depth) {
    if (!Enter(depth)) return false;
    value.kind = Value::Kind::kObject;
    ++at_;
    SkipSpace();
    if (Peek() == '}') {
      ++at_;
      return true;
    }
    for (;;) {
      if (Peek() != '"') return Syntax("a key in double quotes");
      Member& member = value.members.emplace_back();
      member.at = Here();
      if (!ParseString(member.key)) return false;
      if (value.members.size() <= kCompareDirectly && !CheckLastKey(value.members)) return false;
      SkipSpace();
      if (Peek() != ':') return Syntax("\":\"");
      ++at_;
      SkipSpace();
      // The key stays where it is while its value is parsed: the members grow only after that.
      path_.push_back({&member.key, 0});
      if (!ParseValue(member.value, depth + 1)) return false;
      path_.pop_back();
      SkipSpace();
      if (Peek() == '}') break;
      if (Peek() != ',') return Syntax("\",\" or \"}\"");
      ++at_;
      SkipSpace();
    }
    ++at_;
    return value.members.size() <= kCompareDirectly || CheckAllKeys(value.members);
  }

  bool Duplicate(std::string_view first, std::string_view second) {
    return Fail(JsonFault::kDuplicateKey,
                first == second ? "a key occurs twice in one object"
                                : "two keys of one object differ only by case, and a Go reader takes them for one");
  }

  bool CheckLastKey(const std::vector<Member>& members) {
    const std::string& key = members.back().key;
    for (size_t i = 0; i + 1 < members.size(); ++i) {
      if (limits_.fold_keys ? !FoldsTo(members[i].key, key) : members[i].key != key) continue;
      path_.push_back({&key, 0});
      return Duplicate(members[i].key, key);
    }
    return true;
  }

  // For objects of many keys: n log n instead of n squared.
  bool CheckAllKeys(const std::vector<Member>& members) {
    std::vector<std::pair<std::string, const std::string*>> folded;
    folded.reserve(members.size());
    for (const Member& member : members)
      folded.emplace_back(limits_.fold_keys ? Folded(member.key) : member.key, &member.key);
    std::sort(folded.begin(), folded.end());
    for (size_t i = 1; i < folded.size(); ++i) {
      if (folded[i].first != folded[i - 1].first) continue;
      path_.push_back({folded[i].second, 0});
      return Duplicate(*folded[i - 1].second, *folded[i].second);
    }
    return true;
  }

  // --- strings ---

  bool ParseString(std::string& out) {
    const size_t begin = ++at_;
    while (at_ < bytes_.size() && kPlain[static_cast<uint8_t>(bytes_[at_])]) ++at_;
    out.assign(bytes_.substr(begin, at_ - begin));
    while (at_ < bytes_.size()) {
      if (out.size() > limits_.string_bytes) {
        return Fail(JsonFault::kTooLarge, "a string is longer than " + std::to_string(limits_.string_bytes) + " bytes");
      }
      const auto byte = static_cast<uint8_t>(bytes_[at_]);
      if (byte == '"') {
        ++at_;
        return true;
      }
      if (byte == '\\') {
        if (!ParseEscape(out)) return false;
      } else if (byte < 0x20) {
        return Fail(JsonFault::kSyntax, "a control character stands unescaped in a string");
      } else if (byte < 0x80) {
        const size_t run = at_;
        while (at_ < bytes_.size() && kPlain[static_cast<uint8_t>(bytes_[at_])]) ++at_;
        out += bytes_.substr(run, at_ - run);
      } else if (!CopyUtf8(out)) {
        return false;
      }
    }
    return Syntax("the end of a string");
  }

  // One well-formed sequence of two to four bytes (Unicode 15, table 3-7).
  bool CopyUtf8(std::string& out) {
    const auto byte = [&](size_t i) -> uint32_t {
      return at_ + i < bytes_.size() ? static_cast<uint8_t>(bytes_[at_ + i]) : 0U;
    };
    const auto continues = [&](size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const uint32_t first = byte(0);
    const uint32_t second = byte(1);
    size_t length = 0;
    if (first >= 0xC2 && first <= 0xDF && continues(1)) {
      length = 2;
    } else if (first >= 0xE0 && first <= 0xEF && continues(1) && continues(2) && !(first == 0xE0 && second < 0xA0) &&
               !(first == 0xED && second > 0x9F)) {
      length = 3;
    } else if (first >= 0xF0 && first <= 0xF4 && continues(1) && continues(2) && continues(3) &&
               !(first == 0xF0 && second < 0x90) && !(first == 0xF4 && second > 0x8F)) {
      length = 4;
    }
    if (length == 0) return Fail(JsonFault::kInvalidUtf8, "a string holds bytes that are not UTF-8");
    out += bytes_.substr(at_, length);
    at_ += length;
    return true;
  }

  bool ParseEscape(std::string& out) {
    ++at_;
    const char c = Peek();
    ++at_;
    switch (c) {
      case '"': out += '"'; return true;
      case '\\': out += '\\'; return true;
      case '/': out += '/'; return true;
      case 'b': out += '\b'; return true;
      case 'f': out += '\f'; return true;
      case 'n': out += '\n'; return true;
      case 'r': out += '\r'; return true;
      case 't': out += '\t'; return true;
      case 'u': return ParseUnicodeEscape(out);
      default: --at_; return Syntax("an escape that JSON knows");
    }
  }

  bool ParseHex4(uint32_t& unit) {
    unit = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      uint32_t digit = 0;
      if (c >= '0' && c <= '9') {
        digit = static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<uint32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<uint32_t>(c - 'A' + 10);
      } else {
        return Syntax("four hexadecimal digits");
      }
      unit = unit << 4U | digit;
    }
    return true;
  }

  bool ParseUnicodeEscape(std::string& out) {
    uint32_t rune = 0;
    if (!ParseHex4(rune)) return false;
    if (rune >= 0xDC00 && rune <= 0xDFFF) return LoneSurrogate();
    if (rune >= 0xD800 && rune <= 0xDBFF) {
      uint32_t low = 0;
      if (bytes_.substr(at_, 2) != "\\u") return LoneSurrogate();
      at_ += 2;
      if (!ParseHex4(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return LoneSurrogate();
      rune = 0x10000 + ((rune - 0xD800) << 10U) + (low - 0xDC00);
    }
    AppendUtf8(rune, out);
    return true;
  }

  bool LoneSurrogate() { return Fail(JsonFault::kInvalidUtf8, "an escape is half of a surrogate pair"); }

  static void AppendUtf8(uint32_t rune, std::string& out) {
    if (rune < 0x80) {
      out += static_cast<char>(rune);
    } else if (rune < 0x800) {
      out += static_cast<char>(0xC0U | rune >> 6U);
      out += static_cast<char>(0x80U | (rune & 0x3FU));
    } else if (rune < 0x10000) {
      out += static_cast<char>(0xE0U | rune >> 12U);
      out += static_cast<char>(0x80U | (rune >> 6U & 0x3FU));
      out += static_cast<char>(0x80U | (rune & 0x3FU));
    } else {
      out += static_cast<char>(0xF0U | rune >> 18U);
      out += static_cast<char>(0x80U | (rune >> 12U & 0x3FU));
      out += static_cast<char>(0x80U | (rune >> 6U & 0x3FU));
      out += static_cast<char>(0x80U | (rune & 0x3FU));
    }
  }

  // --- numbers (RFC 8259, section 6) ---

  bool Digits() {
    const size_t begin = at_;
    while (Peek() >= '0' && Peek() <= '9') ++at_;
    return at_ > begin;
  }

  bool ParseNumber(std::string& out) {
    const size_t begin = at_;
    if (Peek() == '-') ++at_;
    if (Peek() == '0') {
      ++at_;
    } else if (!Digits()) {
      return Syntax("a value");
    }
    if (Peek() == '.') {
      ++at_;
      if (!Digits()) return Syntax("a digit");
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!Digits()) return Syntax("a digit");
    }
    out.assign(bytes_.substr(begin, at_ - begin));
    return true;
  }

  const std::string_view bytes_;
  const JsonLimits& limits_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  uint32_t line_ = 1;
  size_t values_ = 0;
  std::vector<Step> path_;
  JsonError error_;
};

}  // namespace

JsonParse ParseJson(std::string_view bytes, const JsonLimits& limits) {
  return Parser(bytes, limits).Run();
}

}  // namespace bulkhead

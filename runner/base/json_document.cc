#include "runner/base/json_document.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bulkhead {

namespace {

// The next folded character of `text`, removed from it: ASCII letters in lower case, U+017F as s and
// U+212A as k, any other byte as it is.
char TakeFolded(std::string_view& text) {
  const char c = text.front();
  if (c == '\xC5' && text.starts_with("\xC5\xBF")) {
    text.remove_prefix(2);
    return 's';
  }
  if (c == '\xE2' && text.starts_with("\xE2\x84\xAA")) {
    text.remove_prefix(3);
    return 'k';
  }
  text.remove_prefix(1);
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

// Bytes of a string that need no look: no quote, no backslash, no control, ASCII.
constexpr std::array<bool, 256> MakePlain() {
  std::array<bool, 256> plain = {};
  for (size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = MakePlain();

// Members of one object up to which each pair of keys is compared; above it keys are sorted.
constexpr size_t kCompareDirectly = 12;

void AppendPointerStep(std::string_view key, std::string& pointer) {
  for (const char c : key) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
}

void AppendUtf8(uint32_t rune, std::string& out) {
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

}  // namespace

int CompareFolded(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const auto left = static_cast<uint8_t>(TakeFolded(a));
    const auto right = static_cast<uint8_t>(TakeFolded(b));
    if (left != right) return left < right ? -1 : 1;
  }
  return a.empty() ? (b.empty() ? 0 : -1) : 1;
}

bool FoldsTo(std::string_view a, std::string_view b) {
  return CompareFolded(a, b) == 0;
}

class JsonDocument::Parser {
 public:
  Parser(JsonDocument& document, std::string_view bytes, const JsonLimits& limits)
      : document_(document), nodes_(document.nodes_), bytes_(bytes), limits_(limits) {}

  bool Run() {
    if (bytes_.size() > limits_.bytes || bytes_.size() >= UINT32_MAX) {
      return Fail(JsonFault::kTooLarge, "the document is larger than ", limits_.bytes, " bytes");
    }
    if (bytes_.starts_with("\xEF\xBB\xBF")) return Fail(JsonFault::kSyntax, "a byte-order mark is not allowed");
    // Unescaped text is never longer than what it is written with.
    document_.unescaped_.reserve(bytes_.size());
    SkipSpace();
    nodes_.emplace_back();
    if (!ParseValue(0, 0)) return false;
    SkipSpace();
    if (at_ < bytes_.size()) return Fail(JsonFault::kTrailingData, "there is data after the document");
    return true;
  }

 private:
  bool Fail(JsonFault fault, std::string_view message, size_t number, std::string_view rest) {
    Fail(fault, message);
    document_.error_.message += std::to_string(number);
    document_.error_.message += rest;
    return false;
  }

  bool Fail(JsonFault fault, std::string_view message) {
    JsonError& error = document_.error_;
    error.fault = fault;
    error.offset = at_;
    error.message = message;
    for (const Step& step : document_.path_) {
      error.pointer += '/';
      if (nodes_[step.container].is_array()) {
        error.pointer += std::to_string(step.index);
      } else {
        AppendPointerStep(step.key, error.pointer);
      }
    }
    return false;
  }

  bool Syntax(std::string_view expected) {
    Fail(JsonFault::kSyntax, at_ >= bytes_.size() ? "the document ends where " : "expected ");
    document_.error_.message += expected;
    if (at_ >= bytes_.size()) document_.error_.message += " should stand";
    return false;
  }

  char Peek() const { return at_ < bytes_.size() ? bytes_[at_] : '\0'; }

  void SkipSpace() {
    while (at_ < bytes_.size() &&
           (bytes_[at_] == ' ' || bytes_[at_] == '\n' || bytes_[at_] == '\t' || bytes_[at_] == '\r')) {
      ++at_;
    }
  }

  // The node at `index` is the last one so far; nodes of its subtree are added behind it.
  bool ParseValue(uint32_t index, size_t depth) {
    nodes_[index].offset = static_cast<uint32_t>(at_);
    if (nodes_.size() > limits_.values) {
      return Fail(JsonFault::kTooManyValues, "there are more than ", limits_.values, " values");
    }
    switch (Peek()) {
      case '{': return ParseObject(index, depth);
      case '[': return ParseArray(index, depth);
      case '"': nodes_[index].kind = Value::Kind::kString; return ParseString(nodes_[index].text);
      case 't':
        nodes_[index].kind = Value::Kind::kBool;
        nodes_[index].boolean = true;
        return ParseWord("true");
      case 'f': nodes_[index].kind = Value::Kind::kBool; return ParseWord("false");
      case 'n': return ParseWord("null");
      default: nodes_[index].kind = Value::Kind::kNumber; return ParseNumber(nodes_[index].text);
    }
  }

  bool ParseWord(std::string_view word) {
    if (bytes_.substr(at_, word.size()) != word) return Syntax("a value");
    at_ += word.size();
    return true;
  }

  bool Enter(uint32_t index, Value::Kind kind, size_t depth) {
    if (depth >= limits_.depth) {
      return Fail(JsonFault::kTooDeep, "arrays and objects are nested deeper than ", limits_.depth, "");
    }
    document_.depth_ = std::max(document_.depth_, depth + 1);
    nodes_[index].kind = kind;
    ++at_;
    SkipSpace();
    return true;
  }

  bool Leave(uint32_t index) {
    ++at_;
    nodes_[index].span = static_cast<uint32_t>(nodes_.size()) - index;
    return true;
  }

  bool ParseArray(uint32_t index, size_t depth) {
    if (!Enter(index, Value::Kind::kArray, depth)) return false;
    if (Peek() == ']') return Leave(index);
    document_.path_.push_back({index, 0, {}});
    for (;;) {
      document_.path_.back().index = nodes_[index].size++;
      const auto child = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      if (!ParseValue(child, depth + 1)) return false;
      SkipSpace();
      if (Peek() == ']') break;
      if (Peek() != ',') return Syntax("\",\" or \"]\"");
      ++at_;
      SkipSpace();
    }
    document_.path_.pop_back();
    return Leave(index);
  }

  bool ParseObject(uint32_t index, size_t depth) {
    if (!Enter(index, Value::Kind::kObject, depth)) return false;
    if (Peek() == '}') return Leave(index);
    for (;;) {
      if (Peek() != '"') return Syntax("a key in double quotes");
      const auto child = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back().has_key = true;
      nodes_[child].key_offset = static_cast<uint32_t>(at_);
      if (!ParseString(nodes_[child].key)) return false;
      const uint32_t count = ++nodes_[index].size;
      if (count <= kCompareDirectly && !CheckLastKey(index, child)) return false;
      SkipSpace();
      if (Peek() != ':') return Syntax("\":\"");
      ++at_;
      SkipSpace();
      document_.path_.push_back({index, 0, nodes_[child].key});
      if (!ParseValue(child, depth + 1)) return false;
      document_.path_.pop_back();
      SkipSpace();
      if (Peek() == '}') break;
      if (Peek() != ',') return Syntax("\",\" or \"}\"");
      ++at_;
      SkipSpace();
    }
    Leave(index);
    return nodes_[index].size <= kCompareDirectly || CheckAllKeys(index);
  }

  bool SameKey(std::string_view a, std::string_view b) const {
    return limits_.fold_keys ? CompareFolded(a, b) == 0 : a == b;
  }

  bool Duplicate(uint32_t object, std::string_view first, std::string_view second) {
    document_.path_.push_back({object, 0, second});
    return Fail(JsonFault::kDuplicateKey,
                first == second ? "a key occurs twice in one object"
                                : "two keys of one object differ only by case, and a Go reader takes them for one");
  }

  // The new member against those before it, whose spans are known.
  bool CheckLastKey(uint32_t object, uint32_t last) {
    for (uint32_t other = object + 1; other < last; other += nodes_[other].span) {
      if (SameKey(nodes_[other].key, nodes_[last].key)) return Duplicate(object, nodes_[other].key, nodes_[last].key);
    }
    return true;
  }

  // For objects of many keys: n log n instead of n squared.
  bool CheckAllKeys(uint32_t object) {
    std::vector<uint32_t>& order = document_.order_;
    order.clear();
    uint32_t child = object + 1;
    for (uint32_t i = 0; i < nodes_[object].size; ++i) {
      order.push_back(child);
      child += nodes_[child].span;
    }
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const int folded =
          limits_.fold_keys ? CompareFolded(nodes_[a].key, nodes_[b].key) : nodes_[a].key.compare(nodes_[b].key);
      return folded != 0 ? folded < 0 : a < b;
    });
    for (size_t i = 1; i < order.size(); ++i) {
      const std::string_view first = nodes_[order[i - 1]].key;
      const std::string_view second = nodes_[order[i]].key;
      if (SameKey(first, second)) return Duplicate(object, first, second);
    }
    return true;
  }

  // --- strings ---

  bool ParseString(std::string_view& out) {
    const size_t begin = ++at_;
    // The common case first: nothing to unescape, so the text stays where it is.
    for (;;) {
      while (at_ < bytes_.size() && kPlain[static_cast<uint8_t>(bytes_[at_])]) ++at_;
      if (at_ >= bytes_.size()) return Syntax("the end of a string");
      const char c = bytes_[at_];
      if (c == '"' || c == '\\') break;
      if (!SkipUtf8()) return false;
    }
    if (bytes_[at_] == '"') {
      out = bytes_.substr(begin, at_ - begin);
      ++at_;
      return CheckLength(out.size());
    }
    return ParseEscaped(begin, out);
  }

  bool CheckLength(size_t length) {
    if (length <= limits_.string_bytes) return true;
    return Fail(JsonFault::kTooLarge, "a string is longer than ", limits_.string_bytes, " bytes");
  }

  // From the first backslash on; what stood before it begins at `begin`.
  bool ParseEscaped(size_t begin, std::string_view& out) {
    std::string& text = document_.unescaped_;
    const size_t start = text.size();
    text += bytes_.substr(begin, at_ - begin);
    while (at_ < bytes_.size()) {
      const char c = bytes_[at_];
      if (c == '"') {
        ++at_;
        out = std::string_view(text).substr(start);
        return CheckLength(out.size());
      }
      if (c == '\\') {
        if (!ParseEscape(text)) return false;
        continue;
      }
      const size_t run = at_;
      while (at_ < bytes_.size() && kPlain[static_cast<uint8_t>(bytes_[at_])]) ++at_;
      if (at_ == run && !SkipUtf8()) return false;
      text += bytes_.substr(run, at_ - run);
    }
    return Syntax("the end of a string");
  }

  // Over one well-formed sequence of two to four bytes (Unicode 15, table 3-7).
  bool SkipUtf8() {
    const auto byte = [&](size_t i) -> uint32_t {
      return at_ + i < bytes_.size() ? static_cast<uint8_t>(bytes_[at_ + i]) : 0U;
    };
    const auto continues = [&](size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const uint32_t first = byte(0);
    const uint32_t second = byte(1);
    if (first < 0x20) return Fail(JsonFault::kSyntax, "a control character stands unescaped in a string");
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

  // --- numbers (RFC 8259, section 6) ---

  bool Digits() {
    const size_t begin = at_;
    while (Peek() >= '0' && Peek() <= '9') ++at_;
    return at_ > begin;
  }

  bool ParseNumber(std::string_view& out) {
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
    out = bytes_.substr(begin, at_ - begin);
    return true;
  }

  JsonDocument& document_;
  std::vector<JsonNode>& nodes_;
  const std::string_view bytes_;
  const JsonLimits& limits_;
  size_t at_ = 0;
};

bool JsonDocument::Parse(std::string_view bytes, const JsonLimits& limits) {
  nodes_.clear();
  unescaped_.clear();
  path_.clear();
  depth_ = 0;
  error_.fault = JsonFault::kNone;
  error_.offset = 0;
  error_.pointer.clear();
  error_.message.clear();
  return Parser(*this, bytes, limits).Run();
}

const JsonNode* FindMember(const JsonNode& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  for (const JsonNode& child : Children(object)) {
    if (child.key == key) return &child;
  }
  return nullptr;
}

void AppendJson(const JsonNode& node, std::string& out) {
  switch (node.kind) {
    case Value::Kind::kNull: out += "null"; return;
    case Value::Kind::kBool: out += node.boolean ? "true" : "false"; return;
    case Value::Kind::kNumber: out += node.text; return;
    case Value::Kind::kString: AppendJsonString(node.text, out); return;
    case Value::Kind::kArray:
    case Value::Kind::kObject: {
      out += node.is_array() ? '[' : '{';
      bool first = true;
      for (const JsonNode& child : Children(node)) {
        if (!std::exchange(first, false)) out += ',';
        if (child.has_key) {
          AppendJsonString(child.key, out);
          out += ':';
        }
        AppendJson(child, out);
      }
      out += node.is_array() ? ']' : '}';
      return;
    }
  }
}

Value ToValue(const JsonNode& node) {
  Value value;
  value.kind = node.kind;
  value.boolean = node.boolean;
  value.text = node.text;
  for (const JsonNode& child : Children(node)) {
    if (node.is_array()) {
      value.items.push_back(ToValue(child));
    } else {
      value.members.push_back({std::string(child.key), {}, ToValue(child)});
    }
  }
  return value;
}

}  // namespace bulkhead

#include "runner/base/yaml.h"

#include <yaml.h>

#include <array>
#include <optional>
#include <set>

#include "runner/base/text.h"

namespace bulkhead {

std::string Place(std::string_view file, Position at) {
  std::string place(file);
  if (at.line != 0) place += ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  return place;
}

namespace {

// What a plain scalar is in YAML's core schema, or why it has no certain meaning.
struct Plain {
  std::optional<Value::Kind> kind;
  bool boolean = false;
  std::string_view problem;
};

bool AllDigits(std::string_view text) {
  for (const char c : text) {
    if (!IsDigit(c)) return false;
  }
  return !text.empty();
}

// A JSON number: an optional minus, no leading zero, fraction and exponent with digits.
bool IsJsonNumber(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const size_t whole = std::min(text.find_first_not_of("0123456789"), text.size());
  if (whole == 0 || (whole > 1 && text[0] == '0')) return false;
  text.remove_prefix(whole);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const size_t fraction = std::min(text.find_first_not_of("0123456789"), text.size());
    if (fraction == 0) return false;
    text.remove_prefix(fraction);
  }
  if (text.empty()) return true;
  if (text[0] != 'e' && text[0] != 'E') return false;
  text.remove_prefix(1);
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return AllDigits(text);
}

// Whether any YAML reader takes the text for a number or a date, though JSON would not: a sign or a digit
// or a dot first, and only characters that such things are written with.
bool LooksNumeric(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty()) return false;
  if (rest == ".inf" || rest == ".Inf" || rest == ".INF" || rest == ".nan" || rest == ".NaN" || rest == ".NAN")
    return true;
  if (rest.starts_with("0x") || rest.starts_with("0o") || rest.starts_with("0b") || rest.starts_with("0X")) {
    return rest.size() > 2 && rest.find_first_not_of("0123456789abcdefABCDEF_", 2) == std::string_view::npos;
  }
  if (!IsDigit(rest[0]) && rest[0] != '.') return false;
  if (rest.find_first_of("0123456789") == std::string_view::npos) return false;
  // Numbers with underscores, leading zeros, sexagesimals.
  if (rest.find_first_not_of("0123456789_.:eE+-") == std::string_view::npos) {
    // Dotted versions (1.2.3) and addresses are strings to every reader; so are 12-34 and 1e.
    size_t dots = 0;
    for (const char c : rest) dots += c == '.' ? 1 : 0;
    if (dots > 1) return false;
    if (rest.find('-') != std::string_view::npos && rest.find_first_of("eE") == std::string_view::npos) {
      // yyyy-mm-dd
      return rest.size() >= 8 && rest.size() <= 10 && rest[4] == '-' && AllDigits(rest.substr(0, 4));
    }
    const size_t colon = rest.find(':');
    if (colon != std::string_view::npos)
      return rest.find_first_of("eE+-") == std::string_view::npos && rest.back() != ':';
    return rest.back() != 'e' && rest.back() != 'E' && rest.back() != '+' && rest.back() != '-';
  }
  // yyyy-mm-ddThh:mm:ss and its like.
  return rest.size() > 10 && AllDigits(rest.substr(0, 4)) && rest[4] == '-' &&
         (rest[10] == 'T' || rest[10] == 't' || rest[10] == ' ') &&
         rest.find_first_not_of("0123456789:.-+tTzZ ", 0) == std::string_view::npos;
}

Plain ReadPlain(std::string_view text) {
  if (text.empty() || text == "null" || text == "~" || text == "Null" || text == "NULL")
    return {Value::Kind::kNull, false, {}};
  if (text == "true" || text == "True" || text == "TRUE") return {Value::Kind::kBool, true, {}};
  if (text == "false" || text == "False" || text == "FALSE") return {Value::Kind::kBool, false, {}};
  static constexpr std::array<std::string_view, 18> kWords = {
      "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "=", "<<"};
  for (const std::string_view word : kWords) {
    if (text == word)
      return {std::nullopt, false, "is a boolean or a special word to some YAML readers and a string to others"};
  }
  if (IsJsonNumber(text)) return {Value::Kind::kNumber, false, {}};
  if (LooksNumeric(text))
    return {std::nullopt, false, "is a number or a date to some YAML readers and another one, or a string, to others"};
  return {Value::Kind::kString, false, {}};
}

// Reads on behind what it refuses, so that one pass tells of all of it. A Status is an error only where reading can't
// go on.
class Reader {
 public:
  Reader(std::string_view text, Diagnostics& diagnostics, const YamlLimits& limits)
      : diagnostics_(diagnostics), limits_(limits) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
  }
  ~Reader() {
    if (have_event_) yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Status Run(std::vector<Value>& documents) {
    for (;;) {
      BULKHEAD_TRY(Next());
      switch (event_.type) {
        case YAML_STREAM_START_EVENT: break;
        case YAML_STREAM_END_EVENT: return OkStatus();
        case YAML_DOCUMENT_START_EVENT:
          if (event_.data.document_start.tag_directives.start != event_.data.document_start.tag_directives.end)
            Refuse("E002", Here(), 1, "tag directives are not allowed");
          BULKHEAD_TRY(Next());
          BULKHEAD_TRY(ReadNode(documents.emplace_back(), 0));
          break;
        default: break;  // the end of a document
      }
    }
  }

 private:
  Position Here() const { return {static_cast<uint32_t>(event_.start_mark.line + 1), ByteColumn(event_.start_mark)}; }

  // libyaml counts columns in characters; ours are bytes, which is the same but for non-ASCII text. The
  // mark's index is in characters too, so the column is left as it is.
  static uint32_t ByteColumn(const yaml_mark_t& mark) { return static_cast<uint32_t>(mark.column + 1); }

  void Refuse(std::string_view id, Position at, size_t length, std::string message) {
    Diagnostic problem;
    problem.id = id;
    problem.at = at;
    problem.length = static_cast<uint32_t>(length);
    problem.message = std::move(message);
    diagnostics_.Add(std::move(problem));
  }

  Error Fail(Position at, std::string message) {
    Refuse("E000", at, 0, message);
    return {Code::kInvalidInput, std::move(message)};
  }

  Status Next() {
    if (have_event_) yaml_event_delete(&event_);
    have_event_ = false;
    if (yaml_parser_parse(&parser_, &event_) == 0) {
      const Position at = {static_cast<uint32_t>(parser_.problem_mark.line + 1), ByteColumn(parser_.problem_mark)};
      std::string message = parser_.problem != nullptr ? parser_.problem : "not YAML";
      if (parser_.context != nullptr) message = std::string(parser_.context) + ": " + message;
      return Fail(at, message);
    }
    have_event_ = true;
    return OkStatus();
  }

  void CheckProperties(const unsigned char* anchor, const unsigned char* tag) {
    if (anchor != nullptr) {
      const std::string name = EscapeForTerminal(reinterpret_cast<const char*>(anchor));
      Refuse("E002", Here(), name.size() + 1, "anchors (&" + name + ") are not allowed; write the value out");
    }
    if (tag != nullptr) {
      const std::string name = EscapeForTerminal(reinterpret_cast<const char*>(tag));
      Refuse("E002", Here(), 1, "tags (" + name + ") are not allowed");
    }
  }

  Status ReadNode(Value& value, size_t depth) {
    value.at = Here();
    if (++values_ > limits_.values) {
      return Fail(Here(), "there are more than " + std::to_string(limits_.values) + " values");
    }
    if (depth > limits_.depth) {
      return Fail(Here(), "mappings and lists are nested deeper than " + std::to_string(limits_.depth));
    }
    switch (event_.type) {
      case YAML_SCALAR_EVENT: ReadScalar(value); return OkStatus();
      case YAML_SEQUENCE_START_EVENT: return ReadSequence(value, depth);
      case YAML_MAPPING_START_EVENT: return ReadMapping(value, depth);
      case YAML_ALIAS_EVENT: {
        const std::string name = EscapeForTerminal(reinterpret_cast<const char*>(event_.data.alias.anchor));
        Refuse("E002", Here(), name.size() + 1, "aliases (*" + name + ") are not allowed; write the value out");
        return OkStatus();
      }
      default: return Fail(Here(), "not YAML");
    }
  }

  void ReadScalar(Value& value) {
    const auto& scalar = event_.data.scalar;
    CheckProperties(scalar.anchor, scalar.tag);
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    value.kind = Value::Kind::kString;
    value.text = text;
    if (scalar.style != YAML_PLAIN_SCALAR_STYLE) return;
    const Plain plain = ReadPlain(text);
    if (!plain.kind.has_value()) {
      Refuse("E004", value.at, text.size(),
             "\"" + EscapeForTerminal(text) + "\" " + std::string(plain.problem) + "; quote it");
      return;
    }
    value.kind = *plain.kind;
    value.boolean = plain.boolean;
    if (!value.is_string() && !value.is_number()) value.text.clear();
  }

  Status ReadSequence(Value& value, size_t depth) {
    CheckProperties(event_.data.sequence_start.anchor, event_.data.sequence_start.tag);
    value.kind = Value::Kind::kArray;
    for (;;) {
      BULKHEAD_TRY(Next());
      if (event_.type == YAML_SEQUENCE_END_EVENT) return OkStatus();
      BULKHEAD_TRY(ReadNode(value.items.emplace_back(), depth + 1));
    }
  }

  bool IsMergeKey() const {
    if (event_.type != YAML_SCALAR_EVENT || event_.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    return std::string_view(reinterpret_cast<const char*>(event_.data.scalar.value), event_.data.scalar.length) == "<<";
  }

  Status ReadMapping(Value& value, size_t depth) {
    CheckProperties(event_.data.mapping_start.anchor, event_.data.mapping_start.tag);
    value.kind = Value::Kind::kObject;
    std::set<std::string, std::less<>> keys;
    for (;;) {
      BULKHEAD_TRY(Next());
      if (event_.type == YAML_MAPPING_END_EVENT) return OkStatus();
      Value key;
      bool usable = true;
      if (IsMergeKey()) {
        Refuse("E002", Here(), 2, "merge keys (<<) are not allowed; write the members out");
        usable = false;
      } else {
        BULKHEAD_TRY(ReadNode(key, depth + 1));
        if (!key.is_string()) {
          Refuse("E009", key.at, 1, "a key must be a string, not a " + std::string(KindName(key.kind)) + "; quote it");
          usable = false;
        } else if (!keys.insert(key.text).second) {
          Refuse("E001", key.at, key.text.size(),
                 "key \"" + EscapeForTerminal(key.text) + "\" occurs twice in one mapping");
          usable = false;
        }
      }
      BULKHEAD_TRY(Next());
      Member member;
      member.key = std::move(key.text);
      member.at = key.at;
      BULKHEAD_TRY(ReadNode(member.value, depth + 1));
      if (usable) value.members.push_back(std::move(member));
    }
  }

  Diagnostics& diagnostics_;
  const YamlLimits& limits_;
  yaml_parser_t parser_ = {};
  yaml_event_t event_ = {};
  bool have_event_ = false;
  size_t values_ = 0;
};

}  // namespace

std::vector<Value> ParseYaml(std::string_view text, Diagnostics& diagnostics, const YamlLimits& limits) {
  Diagnostic problem;
  if (text.size() > limits.bytes) {
    problem.id = "E000";
    problem.message = "larger than " + std::to_string(limits.bytes) + " bytes";
  } else if (!IsValidUtf8(text)) {
    problem.id = "E005";
    problem.message = "not UTF-8";
  }
  std::vector<Value> documents;
  if (!problem.id.empty()) {
    diagnostics.Add(std::move(problem));
    return documents;
  }
  // What ended the reading is among the diagnostics.
  const Status read = Reader(text, diagnostics, limits).Run(documents);
  static_cast<void>(read.ok());
  return documents;
}

Result<std::vector<Value>> ParseYaml(std::string_view text, std::string_view file, const YamlLimits& limits) {
  Diagnostics diagnostics{std::string(file)};
  std::vector<Value> documents = ParseYaml(text, diagnostics, limits);
  BULKHEAD_TRY(diagnostics.ToStatus());
  return documents;
}

}  // namespace bulkhead

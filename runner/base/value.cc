#include "runner/base/value.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace bulkhead {

Value Value::Bool(bool value) {
  Value out;
  out.kind = Kind::kBool;
  out.boolean = value;
  return out;
}

Value Value::Number(int64_t value) {
  Value out;
  out.kind = Kind::kNumber;
  out.text = std::to_string(value);
  return out;
}

Value Value::String(std::string value) {
  Value out;
  out.kind = Kind::kString;
  out.text = std::move(value);
  return out;
}

Value Value::Array() {
  Value out;
  out.kind = Kind::kArray;
  return out;
}

Value Value::Object() {
  Value out;
  out.kind = Kind::kObject;
  return out;
}

const Value* Value::Find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

Value* Value::Find(std::string_view key) {
  for (Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

void Value::Set(std::string_view key, Value value) {
  if (Value* const found = Find(key)) {
    *found = std::move(value);
    return;
  }
  members.push_back({std::string(key), {}, std::move(value)});
}

std::string_view KindName(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNull: return "null";
    case Value::Kind::kBool: return "boolean";
    case Value::Kind::kNumber: return "number";
    case Value::Kind::kString: return "string";
    case Value::Kind::kArray: return "list";
    case Value::Kind::kObject: return "mapping";
  }
  return "null";
}

// --- JSON -----------------------------------------------------------------------------------------

namespace {

constexpr std::string_view kEscapeDigits = "0123456789abcdef";

// True for the bytes that a JSON string of ours holds as they are. 0xE2 begins U+2028 and U+2029.
constexpr std::array<bool, 256> MakeUnescaped() {
  std::array<bool, 256> plain = {};
  for (size_t c = 0; c < plain.size(); ++c) {
    plain[c] = c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c != 0xE2;
  }
  return plain;
}
constexpr std::array<bool, 256> kUnescaped = MakeUnescaped();

void AppendEscaped(char c, std::string& out) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default:
      out += "\\u00";
      out += kEscapeDigits[static_cast<uint8_t>(c) >> 4U];
      out += kEscapeDigits[static_cast<uint8_t>(c) & 0xFU];
  }
}

}  // namespace

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (kUnescaped[byte]) continue;
    if (byte == 0xE2) {
      const bool separator = text.substr(i, 2) == "\xE2\x80" && i + 2 < text.size() &&
                             (static_cast<uint8_t>(text[i + 2]) == 0xA8 || static_cast<uint8_t>(text[i + 2]) == 0xA9);
      if (!separator) continue;
      out += text.substr(start, i - start);
      out += static_cast<uint8_t>(text[i + 2]) == 0xA8 ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += text.substr(start, i - start);
      AppendEscaped(text[i], out);
    }
    start = i + 1;
  }
  out += text.substr(start);
  out += '"';
}

void AppendJson(const Value& value, std::string& out) {
  switch (value.kind) {
    case Value::Kind::kNull: out += "null"; return;
    case Value::Kind::kBool: out += value.boolean ? "true" : "false"; return;
    case Value::Kind::kNumber: out += value.text; return;
    case Value::Kind::kString: AppendJsonString(value.text, out); return;
    case Value::Kind::kArray: {
      out += '[';
      bool first = true;
      for (const Value& item : value.items) {
        if (!std::exchange(first, false)) out += ',';
        AppendJson(item, out);
      }
      out += ']';
      return;
    }
    case Value::Kind::kObject: {
      out += '{';
      bool first = true;
      for (const Member& member : value.members) {
        if (!std::exchange(first, false)) out += ',';
        AppendJsonString(member.key, out);
        out += ':';
        AppendJson(member.value, out);
      }
      out += '}';
      return;
    }
  }
}

std::string ToJson(const Value& value) {
  std::string out;
  AppendJson(value, out);
  return out;
}

namespace {

void AppendPretty(const Value& value, size_t indent, std::string& out) {
  const bool array = value.is_array();
  if ((!array && !value.is_object()) || (value.items.empty() && value.members.empty())) {
    AppendJson(value, out);
    return;
  }
  const std::string inner(indent + 2, ' ');
  out += array ? "[\n" : "{\n";
  bool first = true;
  const auto begin_entry = [&] {
    if (!std::exchange(first, false)) out += ",\n";
    out += inner;
  };
  for (const Value& item : value.items) {
    begin_entry();
    AppendPretty(item, indent + 2, out);
  }
  for (const Member& member : value.members) {
    begin_entry();
    AppendJsonString(member.key, out);
    out += ": ";
    AppendPretty(member.value, indent + 2, out);
  }
  out += "\n" + std::string(indent, ' ') + (array ? "]" : "}");
}

// --- YAML -----------------------------------------------------------------------------------------

// Words that some YAML reader takes for a boolean or null.
bool IsYamlWord(std::string_view text) {
  std::string lower;
  for (const char c : text) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  static constexpr std::array<std::string_view, 11> kWords = {"true", "false", "yes",  "no", "on", "off",
                                                              "y",    "n",     "null", "~",  ""};
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

// Plain only when no reader of any YAML version could see anything but this string: a letter first,
// then letters, digits and a few harmless marks.
bool IsPlainYaml(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (text.empty() || IsYamlWord(text) || !letter(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/';
  });
}

void AppendYamlString(std::string_view text, std::string& out) {
  if (IsPlainYaml(text)) {
    out += text;
  } else {
    AppendJsonString(text, out);  // JSON's escapes are all valid in YAML's double quotes
  }
}

bool IsEmptyCollection(const Value& value) {
  return value.items.empty() && value.members.empty();
}

void AppendYaml(const Value& value, size_t indent, std::string& out);

// What follows "key:" or "-".
void AppendYamlEntry(const Value& value, size_t indent, bool in_list, std::string& out) {
  const bool collection = (value.is_array() || value.is_object()) && !IsEmptyCollection(value);
  if (!collection) {
    out += ' ';
    if (value.is_string()) {
      AppendYamlString(value.text, out);
    } else {
      AppendJson(value, out);
    }
    out += '\n';
    return;
  }
  if (in_list) {
    // The first line of the collection stands behind the dash.
    std::string nested;
    AppendYaml(value, indent + 2, nested);
    out += " " + nested.substr(indent + 2);
    return;
  }
  out += '\n';
  AppendYaml(value, indent + (value.is_array() ? 0 : 2), out);
}

void AppendYaml(const Value& value, size_t indent, std::string& out) {
  const std::string space(indent, ' ');
  for (const Value& item : value.items) {
    out += space + "-";
    AppendYamlEntry(item, indent, /*in_list=*/true, out);
  }
  for (const Member& member : value.members) {
    out += space;
    AppendYamlString(member.key, out);
    out += ":";
    AppendYamlEntry(member.value, indent, /*in_list=*/false, out);
  }
}

}  // namespace

std::string ToPrettyJson(const Value& value) {
  std::string out;
  AppendPretty(value, 0, out);
  return out;
}

std::string ToYaml(const Value& value) {
  std::string out;
  if ((value.is_array() || value.is_object()) && !IsEmptyCollection(value)) {
    AppendYaml(value, 0, out);
    return out;
  }
  AppendYamlEntry(value, 0, /*in_list=*/false, out);
  return out.substr(1);
}

}  // namespace bulkhead

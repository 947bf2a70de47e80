// Value: one document tree for JSON and YAML, keeping where each node stood in its file.
//
// Objects keep their members in the order of the document; the parsers refuse duplicate keys, so a
// key occurs once. Numbers keep their lexeme: nothing is rounded between reading and writing.
// A Value is plain data: concurrent reads are safe, a write needs exclusive access.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

// Both count from 1; 0 means "not from a file". Columns count bytes.
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
};

struct Member;

struct Value {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  Position at;
  std::string text;             // kString: UTF-8; kNumber: the lexeme, a valid JSON number
  std::vector<Value> items;     // kArray
  std::vector<Member> members;  // kObject

  static Value Null();
  static Value Bool(bool value);
  static Value Number(int64_t value);
  static Value String(std::string value);
  static Value Array();
  static Value Object();

  bool is_null() const { return kind == Kind::kNull; }
  bool is_bool() const { return kind == Kind::kBool; }
  bool is_number() const { return kind == Kind::kNumber; }
  bool is_string() const { return kind == Kind::kString; }
  bool is_array() const { return kind == Kind::kArray; }
  bool is_object() const { return kind == Kind::kObject; }

  // The member's value, or nullptr when this is no object or has no such key. Exact case.
  const Value* Find(std::string_view key) const;
  Value* Find(std::string_view key);

  // Sets or replaces a member of an object.
  void Set(std::string_view key, Value value);
};

struct Member {
  std::string key;
  Position at;
  Value value;
};

// Here, where Member is complete.
inline Value Value::Null() {
  return {};
}

// "null", "boolean", "number", "string", "list", "mapping": the words of our diagnostics.
std::string_view KindName(Value::Kind kind);

// Compact JSON of the tree: members in their order, strings escaped as RFC 8259 asks, and the
// characters U+2028, U+2029, <, > and & as \u escapes, as Go's encoding/json writes them.
std::string ToJson(const Value& value);
void AppendJson(const Value& value, std::string& out);
void AppendJsonString(std::string_view text, std::string& out);

// The same tree as indented JSON (two spaces) and as block-style YAML, for people. Every YAML string
// that a YAML 1.1 reader could take for something else is quoted.
std::string ToPrettyJson(const Value& value);
std::string ToYaml(const Value& value);

}  // namespace bulkhead

// The types of expressions, and the environment that names what an expression may read.
//
// A Type is an immutable value, cheap to copy and safe to share between threads.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::expr {

enum class Kind : unsigned char {
  kAny,  // known only when evaluated; every operation on it is checked then
  kNull,
  kBool,
  kInt,     // 64 bits, signed
  kDouble,  // IEEE 754 binary64
  kString,  // UTF-8
  kBytes,
  kDuration,  // nanoseconds in 64 bits
  kList,
  kMap,
  kObject,  // named fields, each with a type of its own
};

struct Field;

class Type {
 public:
  struct Node;

  Type();  // any
  static Type Any();
  static Type Null();
  static Type Bool();
  static Type Int();
  static Type Double();
  static Type Bytes(size_t most_bytes = 0);
  static Type Duration();

  // A bound of 0 stands for the bound in Limits. A value over its bound is no error by itself, but then the cost
  // of an evaluation may exceed Program::cost_bound(); the budget at run time holds in any case.
  static Type String(size_t most_bytes = 0);
  static Type List(Type element, size_t most_items = 0);
  static Type Map(Type key, Type value, size_t most_entries = 0);

  // A map from string to `element` whose document holds it as a list of mappings, each with its key under
  // `key_field` (Argo's parameters and artifacts, by `name`). The first entry of a name counts.
  static Type KeyedList(Type element, std::string key_field, size_t most_entries = 0);

  // Fields that are not listed do not exist for an expression, whatever the document holds.
  static Type Object(std::string name, std::vector<Field> fields);

  Kind kind() const;
  bool Is(Kind kind) const { return this->kind() == kind; }
  const Type& element() const;           // list: the item; map: the value
  const Type& key() const;               // map
  const std::string& key_field() const;  // keyed list; empty for every other type
  const std::vector<Field>& fields() const;
  const Field* Find(std::string_view field) const;  // object; nullptr: no such field
  size_t most() const;                              // bytes, items or entries; 0: as Limits says

  // "int", "list(string)", "map(string, any)", the name of an object.
  std::string ToString() const;
  // The same type; any is the same as any only, objects are the same by name.
  bool operator==(const Type& other) const;

  const Node* node() const { return node_.get(); }

 private:
  explicit Type(std::shared_ptr<const Node> node);

  // Shared, as a type occurs in many trees and never changes.
  std::shared_ptr<const Node> node_;
};

struct Field {
  std::string name;
  Type type;
  bool optional = false;  // may be absent; null counts as absent
};

// The variables of an expression. Bindings are given to Program::Evaluate in the order of variables().
class Environment {
 public:
  Environment() = default;
  explicit Environment(std::vector<Field> variables) : variables_(std::move(variables)) {}

  const std::vector<Field>& variables() const { return variables_; }
  std::optional<size_t> Index(std::string_view name) const;

 private:
  std::vector<Field> variables_;
};

}  // namespace bulkhead::expr

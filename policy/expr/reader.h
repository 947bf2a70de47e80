// How the evaluator reads a document that it does not own: a Reader knows one representation, a Ref is one
// node of it. Nothing is copied; a document must outlive the evaluation that reads it.
#pragma once

#include <cstddef>
#include <string_view>

#include "runner/base/value.h"

namespace bulkhead::expr {

// Stateless towards its documents; all calls are const, do no I/O and may come from many threads at once.
// `node` is never null and is one that this reader gave out or that its owner made a Ref of.
class Reader {
 public:
  virtual ~Reader() = default;

  virtual Value::Kind KindOf(const void* node) const = 0;
  virtual bool Bool(const void* node) const = 0;
  // A string's UTF-8 or bytes, or a number's lexeme as JSON writes it. Lives as long as the document.
  virtual std::string_view Text(const void* node) const = 0;
  // Items of a list or members of a mapping.
  virtual size_t Size(const void* node) const = 0;
  virtual const void* Item(const void* list, size_t index) const = 0;
  virtual std::string_view Key(const void* mapping, size_t index) const = 0;
  virtual const void* Member(const void* mapping, size_t index) const = 0;
  // nullptr when there is no such key.
  virtual const void* Find(const void* mapping, std::string_view key) const = 0;
};

struct Ref {
  const Reader* reader = nullptr;
  const void* node = nullptr;  // nullptr: not bound; only an optional variable may be

  bool bound() const { return node != nullptr; }
};

// Reads bulkhead::Value trees. A static object.
const Reader& ValueReader();
inline Ref RefTo(const Value& value) {
  return {&ValueReader(), &value};
}

}  // namespace bulkhead::expr

// What the evaluator computes with. Internal to policy/expr/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <vector>

#include "policy/expr/reader.h"
#include "policy/expr/type.h"

namespace bulkhead::expr {

struct Entry;

// A value that owns nothing: text and items lie in a document, in the program or in the Arena of the evaluation.
struct Operand {
  Kind kind = Kind::kNull;  // never kAny
  bool boolean = false;
  bool borrowed = false;  // a list, map or object of a document: `ref` and `type`; else items or entries
  int64_t integer = 0;    // kInt; kDuration: nanoseconds
  double number = 0;
  std::string_view text;  // kString, kBytes
  const Operand* items = nullptr;
  const Entry* entries = nullptr;
  size_t count = 0;
  Ref ref;
  const Type* type = nullptr;

  static Operand Bool(bool value) {
    Operand out;
    out.kind = Kind::kBool;
    out.boolean = value;
    return out;
  }
  static Operand Int(int64_t value) {
    Operand out;
    out.kind = Kind::kInt;
    out.integer = value;
    return out;
  }
  static Operand Double(double value) {
    Operand out;
    out.kind = Kind::kDouble;
    out.number = value;
    return out;
  }
  static Operand String(std::string_view value) {
    Operand out;
    out.kind = Kind::kString;
    out.text = value;
    return out;
  }
  static Operand List(const Operand* items, size_t count) {
    Operand out;
    out.kind = Kind::kList;
    out.items = items;
    out.count = count;
    return out;
  }
  static Operand Map(const Entry* entries, size_t count) {
    Operand out;
    out.kind = Kind::kMap;
    out.entries = entries;
    out.count = count;
    return out;
  }

  bool Is(Kind wanted) const { return kind == wanted; }
  // null, or what expr-lang calls nil although it has a type: the list of a key that a map of lists does not have.
  static Operand NilList() {
    Operand out = List(nullptr, 0);
    out.boolean = true;
    return out;
  }
  bool is_nil() const { return kind == Kind::kNull || (kind == Kind::kList && boolean); }

  bool is_number() const { return kind == Kind::kInt || kind == Kind::kDouble; }
  bool is_map() const { return kind == Kind::kMap || kind == Kind::kObject; }
  double as_double() const { return kind == Kind::kInt ? static_cast<double>(integer) : number; }
};

struct Entry {
  Operand key;
  Operand value;
};

// Memory of one evaluation, freed as a whole. The first kilobytes need no heap.
class Arena {
 public:
  explicit Arena(size_t budget) : left_(budget) {}

  // nullptr when the budget is used up.
  void* Take(size_t bytes) {
    constexpr size_t kAlign = alignof(std::max_align_t);
    if (bytes > left_) return nullptr;
    left_ -= bytes;
    bytes = (bytes + kAlign - 1) / kAlign * kAlign;
    if (bytes > end_ - at_) {
      const size_t size = bytes > kChunk ? bytes : kChunk;
      chunks_.push_back(std::make_unique<char[]>(size));
      block_ = chunks_.back().get();
      at_ = 0;
      end_ = size;
    }
    void* const taken = block_ + at_;
    at_ += bytes;
    return taken;
  }

  // Value-initialised.
  template <typename T>
  T* Array(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (count > left_ / sizeof(T)) return nullptr;
    void* const memory = Take(count * sizeof(T));
    if (memory == nullptr) return nullptr;
    T* const array = static_cast<T*>(memory);
    for (size_t i = 0; i < count; ++i) new (array + i) T();
    return array;
  }

  // For memory that lies elsewhere but counts.
  bool Account(size_t bytes) {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }
  size_t left() const { return left_; }

 private:
  static constexpr size_t kChunk = 16U << 10U;

  alignas(std::max_align_t) char first_[2048];
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* block_ = first_;
  size_t at_ = 0;
  size_t end_ = sizeof first_;
  size_t left_;
};

}  // namespace bulkhead::expr

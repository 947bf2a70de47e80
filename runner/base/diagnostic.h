// Diagnostics: what is wrong with a file that a person wrote, with its place, as values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead {

enum class Severity : uint8_t { kError, kWarning };

struct Diagnostic {
  std::string id;  // "E003", "W021"; empty where a reader has no ids
  Severity severity = Severity::kError;
  std::string file;
  Position at;          // line 0: the file as a whole
  uint32_t length = 0;  // bytes from `at` on that are meant; 0: not known
  std::string message;  // a sentence, fit for a terminal; without the hint
  std::string hint;     // what to write in place of the word at `at`; empty: nothing is near
};

// "file:line:column: message (did you mean "hint"?)"
std::string ToLine(const Diagnostic& diagnostic);

// Collects diagnostics of one file, in the order found. Not thread-safe.
class Diagnostics {
 public:
  explicit Diagnostics(std::string file) : file_(std::move(file)) {}

  // An error without id.
  void Add(Position at, std::string_view message);
  // `file` is filled in.
  void Add(Diagnostic diagnostic);

  bool empty() const { return list_.empty(); }
  bool HasErrors() const;
  const std::string& file() const { return file_; }
  const std::vector<Diagnostic>& list() const { return list_; }
  // kInvalidInput with a line for each error; OK when there are none. Warnings are left out.
  Status ToStatus() const;

 private:
  std::string file_;
  std::vector<Diagnostic> list_;
};

}  // namespace bulkhead

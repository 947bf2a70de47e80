#include "runner/base/diagnostic.h"

#include <algorithm>

#include "runner/base/yaml.h"

namespace bulkhead {

std::string ToLine(const Diagnostic& diagnostic) {
  std::string line = Place(diagnostic.file, diagnostic.at) + ": " + diagnostic.message;
  if (!diagnostic.hint.empty()) line += " (did you mean \"" + diagnostic.hint + "\"?)";
  return line;
}

void Diagnostics::Add(Position at, std::string_view message) {
  Diagnostic diagnostic;
  diagnostic.at = at;
  diagnostic.message = message;
  Add(std::move(diagnostic));
}

void Diagnostics::Add(Diagnostic diagnostic) {
  diagnostic.file = file_;
  list_.push_back(std::move(diagnostic));
}

bool Diagnostics::HasErrors() const {
  return std::any_of(list_.begin(), list_.end(),
                     [](const Diagnostic& one) { return one.severity == Severity::kError; });
}

Status Diagnostics::ToStatus() const {
  if (!HasErrors()) return OkStatus();
  std::string lines;
  for (const Diagnostic& one : list_) {
    if (one.severity == Severity::kError) lines += (lines.empty() ? "" : "\n") + ToLine(one);
  }
  return Error(Code::kInvalidInput, lines);
}

}  // namespace bulkhead

#include "policy/diagnostic.h"

#include <algorithm>

#include "runner/base/text.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy {

namespace {

constexpr size_t kMostLine = 160;

// Line `number` (from 1) of `source`, without its end.
std::string_view LineOf(std::string_view source, uint32_t number) {
  for (uint32_t line = 1; line < number; ++line) {
    const size_t end = source.find('\n');
    if (end == std::string_view::npos) return {};
    source.remove_prefix(end + 1);
  }
  std::string_view line = source.substr(0, source.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// A tab stays a column of its own: as a space it is one wide everywhere.
std::string Shown(std::string_view text) {
  std::string plain(text);
  std::replace(plain.begin(), plain.end(), '\t', ' ');
  return EscapeForTerminal(plain);
}

}  // namespace

std::string Render(const Diagnostic& diagnostic, std::string_view source) {
  std::string out = Place(diagnostic.file, diagnostic.at) + ": ";
  out += diagnostic.severity == Severity::kError ? "error" : "warning";
  if (!diagnostic.id.empty()) out += "[" + diagnostic.id + "]";
  out += ": " + diagnostic.message;
  if (!diagnostic.hint.empty()) out += " (did you mean \"" + diagnostic.hint + "\"?)";
  out += '\n';
  if (diagnostic.at.line == 0 || diagnostic.at.column == 0) return out;
  const std::string_view line = LineOf(source, diagnostic.at.line);
  const size_t column = diagnostic.at.column - 1;
  if (column > line.size() || line.size() > kMostLine) return out;
  const size_t length =
      std::min<size_t>(std::max<size_t>(diagnostic.length, 1), std::max<size_t>(line.size() - column, 1));
  out += "  " + Shown(line) + "\n  ";
  // What is shown before the caret may be wider than its bytes.
  out.append(Shown(line.substr(0, column)).size(), ' ');
  out += '^';
  out.append(length - 1, '~');
  out += '\n';
  return out;
}

std::string Render(const Diagnostics& diagnostics, std::string_view source) {
  std::vector<const Diagnostic*> sorted;
  for (const Diagnostic& one : diagnostics.list()) sorted.push_back(&one);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Diagnostic* a, const Diagnostic* b) {
    return a->at.line != b->at.line ? a->at.line < b->at.line : a->at.column < b->at.column;
  });
  std::string out;
  for (const Diagnostic* one : sorted) out += Render(*one, source);
  return out;
}

}  // namespace bulkhead::policy

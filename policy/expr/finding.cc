#include "policy/expr/finding.h"

#include <algorithm>

#include "runner/base/text.h"

namespace bulkhead::expr {

bool HasErrors(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.is_error(); });
}

std::string Render(std::string_view source, const Finding& finding) {
  const size_t offset = std::min<size_t>(finding.offset, source.size());
  const size_t begin = offset == 0 ? 0 : source.rfind('\n', offset - 1) + 1;  // npos + 1 is 0
  const size_t end = std::min(source.find('\n', offset), source.size());
  const auto line = 1 + std::count(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(offset), '\n');
  std::string out = std::to_string(line) + ":" + std::to_string(offset - begin + 1) + ": " +
                    (finding.is_error() ? "error[" : "warning[") + finding.id + "]: " + finding.message + "\n";
  // The caret stands under what it means although escapes widen what is before it.
  out += "  " + EscapeForTerminal(source.substr(begin, end - begin)) + "\n  ";
  out += std::string(EscapeForTerminal(source.substr(begin, offset - begin)).size(), ' ') + "^";
  const size_t marked = std::min<size_t>(finding.length, end - offset);
  if (marked > 1) out += std::string(EscapeForTerminal(source.substr(offset, marked)).size() - 1, '~');
  return out + "\n";
}

}  // namespace bulkhead::expr

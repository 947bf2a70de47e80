#include "policy/path.h"

#include <algorithm>

#include "runner/base/text.h"
#include "runner/base/value.h"

namespace bulkhead::policy {

namespace {

bool IsPlainKeyChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool IsPlainKey(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), IsPlainKeyChar);
}

// The end of the bracketed step that starts at `begin`, behind its ']'; npos when it has none.
size_t EndOfStep(std::string_view text, size_t begin) {
  bool quoted = false;
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quoted) {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == ']' && !quoted) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

Error Bad(std::string message) {
  return Error(Code::kInvalidInput, std::move(message));
}

}  // namespace

std::string KeyStep(std::string_view key) {
  if (IsPlainKey(key)) return "[" + std::string(key) + "]";
  std::string quoted;
  AppendJsonString(key, quoted);
  return "[" + quoted + "]";
}

Result<PathPattern> PathPattern::Parse(std::string_view text) {
  PathPattern pattern;
  pattern.text_ = std::string(text);
  pattern.literals_.emplace_back();
  const StructSpec* spec = &ExecuteReplySpec();
  std::string read;
  for (size_t at = 0;;) {
    const size_t end = std::min(text.find_first_of(".[", at), text.size());
    const std::string_view name = text.substr(at, end - at);
    if (spec == nullptr) return Bad("\"" + read + "\" has no fields of its own");
    const FieldSpec* const field = spec->Find(name);
    if (field == nullptr) {
      std::vector<std::string_view> names;
      for (const FieldSpec& candidate : spec->fields) names.push_back(candidate.name);
      return Bad("a reply has no field \"" + EscapeForTerminal(name) + "\" in " + (read.empty() ? "its root" : read) +
                 DidYouMean(name, names));
    }
    read += (read.empty() ? "" : ".") + std::string(name);
    pattern.literals_.back() += (at == 0 ? "" : ".") + std::string(name);
    if (pattern.guard_.empty()) pattern.guard_ = field->guard;
    pattern.leaf_ = field;
    spec = field->child;
    at = end;
    if (field->type == FieldType::kKeyedList) {
      if (at >= text.size() || text[at] != '[') {
        return Bad("\"" + read + "\" is a list: name an entry, as in " + read + "[name]." +
                   std::string(spec->fields.back().name) + ", or all with [*]");
      }
      const size_t close = EndOfStep(text, at);
      if (close == std::string_view::npos) return Bad("a '[' without its ']'");
      const std::string_view inside = text.substr(at + 1, close - at - 2);
      if (inside == "*") {
        pattern.literals_.emplace_back();
      } else if (IsPlainKey(inside) &&
                 std::all_of(inside.begin(), inside.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        return Bad("\"" + read + "\" is a list with keys: name the entry, not its place, or quote the name: [\"" +
                   std::string(inside) + "\"]");
      } else if (IsPlainKey(inside)) {
        pattern.literals_.back() += KeyStep(inside);
      } else if (inside.size() > 2 && inside.front() == '"' && inside.back() == '"' &&
                 inside.find('\\') == std::string_view::npos) {
        pattern.literals_.back() += KeyStep(inside.substr(1, inside.size() - 2));
      } else {
        return Bad("\"[" + EscapeForTerminal(inside) + "]\" is no entry: write [name], [\"any name\"] or [*]");
      }
      read += text.substr(at, close - at);
      at = close;
    }
    if (at >= text.size()) break;
    if (text[at] != '.' || at + 1 >= text.size()) return Bad("a field name is missing after \"" + read + "\"");
    ++at;
  }
  if (pattern.leaf_->child != nullptr) {
    std::string names;
    for (const FieldSpec& candidate : spec->fields) names += (names.empty() ? "" : ", ") + std::string(candidate.name);
    return Bad(
        "\"" + read +
        "\" is not a leaf: a rule on it would allow fields that Argo may add later; name one of its fields: " + names);
  }
  return pattern;
}

bool PathPattern::Matches(std::string_view path) const {
  for (size_t i = 0; i < literals_.size(); ++i) {
    if (i > 0) {
      // A whole step, whatever its key.
      if (path.empty() || path.front() != '[') return false;
      const size_t end = EndOfStep(path, 0);
      if (end == std::string_view::npos) return false;
      path.remove_prefix(end);
    }
    if (!path.starts_with(literals_[i])) return false;
    path.remove_prefix(literals_[i].size());
  }
  return path.empty();
}

}  // namespace bulkhead::policy

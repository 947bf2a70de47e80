#include "policy/path.h"

#include <algorithm>

#include "runner/base/json.h"
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

bool AllDigits(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
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

Diagnostic Bad(std::string_view id, std::string message, std::string_view hint = {}) {
  Diagnostic problem;
  problem.id = id;
  problem.message = std::move(message);
  problem.hint = hint;
  return problem;
}

// Walks a path beside the schema; with `pattern` unset it reads concrete paths, which have no wildcard.
class PathReader {
 public:
  explicit PathReader(std::string_view text) : text_(text) {}

  PathPattern::Parsed Run(uint16_t& leaf, std::vector<PathPattern::Key>& keys) {
    PathPattern::Parsed parsed;
    if (Walk(parsed.problem, keys)) leaf = leaf_;
    return parsed;
  }
  bool ok() const { return leaf_ != kNoLeaf; }

 private:
  bool Walk(Diagnostic& problem, std::vector<PathPattern::Key>& keys) {
    const FieldSpec* field = nullptr;
    std::span<const FieldSpec> fields;
    for (size_t at = 0;;) {
      const size_t end = std::min(text_.find_first_of(".[", at), text_.size());
      const std::string_view name = text_.substr(at, end - at);
      if (at > 0 && fields.empty()) return Fail(problem, Bad("E010", "\"" + read_ + "\" has no fields of its own"));
      field = at == 0 ? FindRoot(name) : FindIn(fields, name);
      if (field == nullptr) return Fail(problem, NoField(name, fields, at == 0));
      read_ += (at == 0 ? "" : ".") + std::string(name);
      at = end;
      const bool keyed = field->type == FieldType::kKeyedList || field->type == FieldType::kStringMap;
      fields = field->child == nullptr ? std::span<const FieldSpec>() : field->child->fields;
      if (keyed && !Key(*field, at, problem, keys)) return false;
      if (!keyed && at < text_.size() && text_[at] == '[')
        return Fail(problem, Bad("E010", "\"" + read_ + "\" has no keys: write it without [...]"));
      if (at >= text_.size()) break;
      if (text_[at] != '.' || at + 1 >= text_.size())
        return Fail(problem, Bad("E010", "a field name is missing after \"" + read_ + "\""));
      ++at;
    }
    if (field->child != nullptr) {
      std::string names;
      for (const FieldSpec& one : fields) names += (names.empty() ? "" : ", ") + std::string(one.name);
      return Fail(problem, Bad("E011", "\"" + read_ +
                                           "\" is not a leaf: a rule on it would allow fields that Argo may add later; "
                                           "name one of its fields: " +
                                           names));
    }
    leaf_ = field->leaf;
    return true;
  }

  // The replies have different roots.
  static const FieldSpec* FindRoot(std::string_view name) {
    for (const std::string_view rpc : RpcNames()) {
      const StructSpec* const spec = ReplySpec(*RpcByName(rpc));
      const FieldSpec* const field = spec == nullptr ? nullptr : spec->Find(name);
      if (field != nullptr) return field;
    }
    return nullptr;
  }

  static const FieldSpec* FindIn(std::span<const FieldSpec> fields, std::string_view name) {
    const auto found =
        std::find_if(fields.begin(), fields.end(), [&](const FieldSpec& one) { return one.name == name; });
    return found == fields.end() ? nullptr : &*found;
  }

  Diagnostic NoField(std::string_view name, std::span<const FieldSpec> fields, bool root) const {
    std::vector<std::string_view> names;
    for (const FieldSpec& one : fields) names.push_back(one.name);
    if (root) names = {"node", "requeue", "workflow", "parameters"};
    return Bad("E010", "a reply has no field \"" + EscapeForTerminal(name) + "\" in " + (root ? "its root" : read_),
               Nearest(name, names).value_or(""));
  }

  bool Key(const FieldSpec& field, size_t& at, Diagnostic& problem, std::vector<PathPattern::Key>& keys) {
    const bool list = field.type == FieldType::kKeyedList;
    if (at >= text_.size() || text_[at] != '[') {
      const std::string example = list ? "[name]." + std::string(field.child->fields.back().name) : "[key]";
      return Fail(problem, Bad("E011", "\"" + read_ + "\" is a " + (list ? "list" : "mapping") +
                                           ": name an entry, as in " + read_ + example + ", or all with [*]"));
    }
    const size_t close = EndOfStep(text_, at);
    if (close == std::string_view::npos) return Fail(problem, Bad("E010", "a '[' without its ']'"));
    const std::string_view inside = text_.substr(at + 1, close - at - 2);
    PathPattern::Key key;
    if (inside == "*") {
      key.any = true;
    } else if (list && AllDigits(inside)) {
      return Fail(
          problem,
          Bad("E012", "\"" + read_ + "\" is a list with keys: name the entry, not its place, or quote the name: [\"" +
                          std::string(inside) + "\"]"));
    } else if (IsPlainKey(inside)) {
      key.text = inside;
    } else {
      const JsonParse quoted = ParseJson(inside);
      if (!quoted.ok || !quoted.value.is_string() || quoted.value.text.empty()) {
        return Fail(problem, Bad("E010", "\"[" + EscapeForTerminal(inside) +
                                             "]\" is no entry: write [name], [\"any name\"] or [*]"));
      }
      key.text = quoted.value.text;
    }
    keys.push_back(std::move(key));
    read_ += EscapeForTerminal(text_.substr(at, close - at));
    at = close;
    return true;
  }

  static bool Fail(Diagnostic& problem, Diagnostic found) {
    problem = std::move(found);
    return false;
  }

  const std::string_view text_;
  std::string read_;
  uint16_t leaf_ = kNoLeaf;
};

}  // namespace

void AppendKeyStep(std::string_view key, std::string& out) {
  out += '[';
  if (IsPlainKey(key) && !AllDigits(key)) {
    out += key;
  } else {
    AppendJsonString(key, out);
  }
  out += ']';
}

std::string KeyStep(std::string_view key) {
  std::string step;
  AppendKeyStep(key, step);
  return step;
}

void AppendPath(const LeafSpec& leaf, std::span<const std::string_view> keys, std::string& out) {
  std::string_view rest = leaf.path;
  for (const std::string_view key : keys) {
    const size_t at = rest.find("[]");
    if (at == std::string_view::npos) break;
    out += rest.substr(0, at);
    AppendKeyStep(key, out);
    rest.remove_prefix(at + 2);
  }
  out += rest;
}

PathPattern::Parsed PathPattern::Parse(std::string_view text) {
  PathPattern pattern;
  PathReader reader(text);
  Parsed parsed = reader.Run(pattern.leaf_, pattern.keys_);
  if (!reader.ok()) return parsed;
  pattern.text_ = std::string(text);
  parsed.path = std::move(pattern);
  return parsed;
}

bool PathPattern::Matches(uint16_t leaf, std::span<const std::string_view> keys) const {
  if (leaf != leaf_ || keys.size() != keys_.size()) return false;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!keys_[i].any && keys_[i].text != keys[i]) return false;
  }
  return true;
}

bool PathPattern::Matches(std::string_view path) const {
  const Parsed parsed = Parse(path);
  return parsed.path.has_value() && Covers(*parsed.path);
}

bool PathPattern::Covers(const PathPattern& other) const {
  if (leaf_ == kNoLeaf || other.leaf_ != leaf_ || other.keys_.size() != keys_.size()) return false;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (!keys_[i].any && (other.keys_[i].any || other.keys_[i].text != keys_[i].text)) return false;
  }
  return true;
}

ProtectedSet PathPattern::set() const {
  const FieldSpec& field = *leaf().field;
  const bool named = field.keys != KeyRule::kNone && !keys_.empty() && !keys_.back().any;
  return named ? SetOf(field, keys_.back().text) : field.set;
}

}  // namespace bulkhead::policy

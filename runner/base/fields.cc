#include "runner/base/fields.h"

#include <charconv>

#include "runner/base/text.h"

namespace bulkhead {

namespace {

Diagnostic Problem(std::string_view id, Position at, std::string message) {
  Diagnostic problem;
  problem.id = id;
  problem.at = at;
  problem.message = std::move(message);
  return problem;
}

}  // namespace

Fields::Fields(const Value& value, std::string_view what, Diagnostics& diagnostics)
    : value_(value), what_(what), diagnostics_(diagnostics) {
  if (!value.is_object()) {
    diagnostics_.Add(
        Problem("E029", value.at, what_ + " must be a mapping, not a " + std::string(KindName(value.kind))));
  }
}

const Value* Fields::Any(std::string_view key) {
  known_.insert(std::string(key));
  const Value* const member = value_.Find(key);
  return member == nullptr || member->is_null() ? nullptr : member;
}

const Value* Fields::OfKind(std::string_view key, Value::Kind kind) {
  const Value* const member = Any(key);
  if (member == nullptr || member->kind == kind) return member;
  diagnostics_.Add(Problem("E029", member->at,
                           what_ + "." + std::string(key) + " must be a " + std::string(KindName(kind)) + ", not a " +
                               std::string(KindName(member->kind)) +
                               (kind == Value::Kind::kString ? "; quote it" : "")));
  return nullptr;
}

std::optional<std::string> Fields::String(std::string_view key) {
  const Value* const member = OfKind(key, Value::Kind::kString);
  if (member == nullptr) return std::nullopt;
  return member->text;
}

std::optional<bool> Fields::Bool(std::string_view key) {
  const Value* const member = OfKind(key, Value::Kind::kBool);
  if (member == nullptr) return std::nullopt;
  return member->boolean;
}

std::optional<int64_t> Fields::Int(std::string_view key, int64_t least, int64_t most) {
  const Value* const member = OfKind(key, Value::Kind::kNumber);
  if (member == nullptr) return std::nullopt;
  int64_t number = 0;
  const char* const end = member->text.data() + member->text.size();
  const auto parsed = std::from_chars(member->text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number < least || number > most) {
    diagnostics_.Add(Problem("E009", member->at,
                             what_ + "." + std::string(key) + " must be a whole number from " + std::to_string(least) +
                                 " to " + std::to_string(most)));
    return std::nullopt;
  }
  return number;
}

std::vector<std::string> Fields::Strings(std::string_view key) {
  std::vector<std::string> strings;
  const Value* const list = OfKind(key, Value::Kind::kArray);
  if (list == nullptr) return strings;
  for (const Value& item : list->items) {
    if (item.is_string()) {
      strings.push_back(item.text);
    } else {
      diagnostics_.Add(Problem("E029", item.at,
                               what_ + "." + std::string(key) + " must hold strings, not a " +
                                   std::string(KindName(item.kind)) + "; quote it"));
    }
  }
  return strings;
}

std::string Fields::RequiredString(std::string_view key) {
  if (Any(key) == nullptr) {
    diagnostics_.Add(Problem("E008", value_.at, what_ + " needs \"" + std::string(key) + "\""));
    return "";
  }
  return String(key).value_or("");
}

void Fields::Refuse(std::string_view key, std::string_view reason) {
  if (const Value* const member = Any(key)) {
    diagnostics_.Add(member->at, what_ + "." + std::string(key) + ": " + std::string(reason));
  }
}

void Fields::Done() {
  const std::vector<std::string_view> candidates(known_.begin(), known_.end());
  for (const Member& member : value_.members) {
    if (known_.contains(member.key)) continue;
    Diagnostic unknown;
    unknown.id = "E003";
    unknown.at = member.at;
    unknown.length = static_cast<uint32_t>(member.key.size());
    unknown.message = "unknown field \"" + EscapeForTerminal(member.key) + "\" in " + what_;
    unknown.hint = Nearest(member.key, candidates).value_or("");
    diagnostics_.Add(std::move(unknown));
  }
}

}  // namespace bulkhead

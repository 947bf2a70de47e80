// What the readers of a policy document's parts share. Internal to the loader: loader.cc reads the document,
// rule_reader.cc the lists of rules in it.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "policy/rules.h"
#include "runner/base/fields.h"

namespace bulkhead::policy {

inline bool IsId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

// Borrows both.
class PartReader {
 protected:
  PartReader(Policy& policy, Diagnostics& diagnostics) : policy_(policy), diagnostics_(diagnostics) {}

  void Add(std::string_view id, Position at, std::string message, std::string_view hint = {}, size_t length = 0) {
    Diagnostic problem;
    problem.id = id;
    problem.at = at;
    problem.message = std::move(message);
    problem.hint = hint;
    problem.length = static_cast<uint32_t>(length);
    diagnostics_.Add(std::move(problem));
  }

  const Value* Needed(Fields& fields, std::string_view what, std::string_view key) {
    const Value* const value = fields.OfKind(key, Value::Kind::kObject);
    if (value == nullptr && fields.Any(key) == nullptr)
      Add("E008", fields.at(), std::string(what) + " needs \"" + std::string(key) + "\"");
    return value;
  }

  std::string Required(Fields& fields, std::string_view what, std::string_view key) {
    if (fields.Any(key) == nullptr) {
      Add("E008", fields.at(), std::string(what) + " needs \"" + std::string(key) + "\"");
      return "";
    }
    return fields.String(key).value_or("");
  }

  static Position PlaceOf(Fields& fields, std::string_view key) {
    const Value* const member = fields.Any(key);
    return member == nullptr ? Position{} : member->at;
  }

  std::optional<Date> ReadDate(Fields& fields, std::string_view what, std::string_view key, Position& at) {
    at = PlaceOf(fields, key);
    const auto text = fields.String(key);
    if (!text.has_value()) return std::nullopt;
    auto date = Date::Parse(*text);
    if (!date.has_value()) {
      Add("E009", at, std::string(what) + "." + std::string(key) + " must be a day such as \"2027-01-31\"", {},
          text->size());
    }
    return date;
  }

  Policy& policy_;
  Diagnostics& diagnostics_;
};

// unprotect, allow, deny, require and checks of `spec`, whose match was read before. `text`: of the whole file.
void ReadRuleLists(Fields& spec, std::string_view text, Policy& policy, Diagnostics& diagnostics);

}  // namespace bulkhead::policy

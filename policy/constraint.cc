#include "policy/constraint.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

constexpr std::array<std::string_view, 4> kTypes = {"string", "integer", "number", "boolean"};
constexpr int64_t kMostPatternMemory = 1 << 20;

bool IsTokenChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_.:/@+-").find(c) != std::string_view::npos;
}

// A decimal number as JSON has it, without exponent or surprises.
std::optional<double> AsNumber(std::string_view text) {
  constexpr size_t kMostDigits = 17;
  if (text.empty() || text.size() > kMostDigits + 2 || text.find_first_not_of("0123456789.-") != std::string_view::npos)
    return std::nullopt;
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

bool HasType(const Value& value, std::string_view type) {
  if (type == "string") return value.is_string();
  // Argo's parameters carry numbers and booleans as text.
  if (type == "boolean")
    return value.is_bool() || (value.is_string() && (value.text == "true" || value.text == "false"));
  const auto number = AsNumber(value.text);
  return number.has_value() && (type == "number" || value.text.find('.') == std::string::npos);
}

std::string Number(double number) {
  std::string text = std::to_string(number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

// --- reading --------------------------------------------------------------------------------------

std::optional<double> ReadNumber(Fields& fields, std::string_view key, Diagnostics& diagnostics) {
  const Value* const member = fields.OfKind(key, Value::Kind::kNumber);
  if (member == nullptr) return std::nullopt;
  const auto number = AsNumber(member->text);
  if (!number.has_value())
    diagnostics.Add(member->at, "value." + std::string(key) + " must be a decimal number of at most 17 digits");
  return number;
}

void ReadPattern(Fields& fields, Constraint& constraint, Diagnostics& diagnostics) {
  const Value* const member = fields.OfKind("pattern", Value::Kind::kString);
  if (member == nullptr) return;
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kMostPatternMemory);
  constraint.pattern = std::make_unique<RE2>(member->text, options);
  if (!constraint.pattern->ok()) {
    diagnostics.Add(member->at, "value.pattern is no RE2 expression (https://github.com/google/re2/wiki/Syntax): " +
                                    EscapeForTerminal(constraint.pattern->error()));
    constraint.pattern = nullptr;
  }
}

void ReadCharset(Fields& fields, Constraint& constraint, Diagnostics& diagnostics) {
  const Value* const member = fields.OfKind("charset", Value::Kind::kString);
  if (member == nullptr) return;
  constexpr std::array<std::string_view, 3> kNames = {"token", "printable", "text"};
  const auto* const found = std::find(kNames.begin(), kNames.end(), member->text);
  if (found == kNames.end()) {
    diagnostics.Add(member->at, "value.charset must be token, printable or text" + DidYouMean(member->text, kNames));
    return;
  }
  constraint.charset = static_cast<Charset>(found - kNames.begin());
}

std::optional<std::chrono::nanoseconds> ReadDuration(Fields& fields, std::string_view key, Diagnostics& diagnostics) {
  const Value* const member = fields.OfKind(key, Value::Kind::kString);
  if (member == nullptr) {
    if (fields.Any(key) == nullptr)
      diagnostics.Add(fields.at(), "value.duration needs \"" + std::string(key) + "\", such as 30s");
    return std::nullopt;
  }
  const auto duration = ParseGoDuration(member->text);
  if (!duration.has_value() || duration->count() < 0) {
    diagnostics.Add(member->at, "value.duration." + std::string(key) + " must be a Go duration such as 30s or 10m");
    return std::nullopt;
  }
  return duration;
}

void ReadDurations(Fields& fields, Constraint& constraint, Diagnostics& diagnostics) {
  const Value* const member = fields.OfKind("duration", Value::Kind::kObject);
  if (member == nullptr) return;
  Fields inner(*member, "duration", diagnostics);
  constraint.least = ReadDuration(inner, "min", diagnostics);
  constraint.most = ReadDuration(inner, "max", diagnostics);
  inner.Done();
  if (constraint.least.has_value() && constraint.most.has_value() && *constraint.least > *constraint.most) {
    diagnostics.Add(member->at, "value.duration: min is more than max");
  }
}

}  // namespace

Constraint::Constraint() = default;
Constraint::~Constraint() = default;
Constraint::Constraint(Constraint&&) noexcept = default;
Constraint& Constraint::operator=(Constraint&&) noexcept = default;

Constraint ReadConstraint(const Value& value, const FieldSpec& leaf, Diagnostics& diagnostics) {
  Constraint constraint;
  Fields fields(value, "value", diagnostics);
  constraint.constant = fields.String("const");
  constraint.choices = fields.Strings("enum");
  if (const Value* choices = fields.Any("enum"); choices != nullptr && choices->is_array() && choices->items.empty()) {
    diagnostics.Add(choices->at, "value.enum is empty: nothing would be allowed; name the values");
  }
  ReadPattern(fields, constraint, diagnostics);
  constraint.prefix = fields.String("prefix").value_or("");
  if (const Value* prefix = fields.Any("prefix");
      prefix != nullptr && !constraint.prefix.empty() &&
      std::string_view("/:-._=@").find(constraint.prefix.back()) == std::string_view::npos) {
    diagnostics.Add(prefix->at,
                    "value.prefix must end in a delimiter (/ : - . _ = @): \"prod\" would also allow \"production\"");
  }
  if (const Value* type = fields.OfKind("type", Value::Kind::kString)) {
    constraint.type = type->text;
    if (std::find(kTypes.begin(), kTypes.end(), type->text) == kTypes.end()) {
      diagnostics.Add(type->at,
                      "value.type must be string, integer, number or boolean" + DidYouMean(type->text, kTypes));
    }
  }
  constraint.min = ReadNumber(fields, "min", diagnostics);
  constraint.max = ReadNumber(fields, "max", diagnostics);
  if (const auto bytes = fields.Int("maxBytes", 0, int64_t{1} << 30))
    constraint.max_bytes = static_cast<size_t>(*bytes);
  ReadCharset(fields, constraint, diagnostics);
  ReadDurations(fields, constraint, diagnostics);
  for (const std::string_view later : {"url", "declared", "unchanged"})
    fields.Refuse(later, "this constraint is not supported yet; remove it");
  fields.Done();
  if (value.is_object() && value.members.empty())
    diagnostics.Add(value.at, "value is empty: write a constraint, or leave \"value\" out");
  if (constraint.least.has_value() && leaf.type != FieldType::kDuration) {
    diagnostics.Add(value.at, "value.duration is for requeue; \"" + std::string(leaf.name) + "\" is no duration");
  }
  return constraint;
}

std::optional<std::string> Constraint::Violation(const Value& value) const {
  const std::string_view text = value.text;
  if (!value.is_string() && !value.is_number() && !value.is_bool())
    return "must be a plain value: no constraint can allow a list or a mapping";
  if (constant.has_value() && (!value.is_string() || text != *constant))
    return "must be " + EscapeForTerminal(*constant);
  if (!choices.empty() && (!value.is_string() || std::find(choices.begin(), choices.end(), text) == choices.end())) {
    return "must be one of " + EscapeForTerminal(Join(choices, ", "));
  }
  if (pattern != nullptr &&
      (!value.is_string() || !RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *pattern))) {
    return "must match the pattern " + EscapeForTerminal(pattern->pattern());
  }
  if (!prefix.empty() && (!value.is_string() || !text.starts_with(prefix)))
    return "must begin with " + EscapeForTerminal(prefix);
  if (!type.empty() && !HasType(value, type)) return "must be of type " + type;
  if (min.has_value() || max.has_value()) {
    const auto number = AsNumber(text);
    if (!number.has_value()) return "must be a decimal number";
    if (min.has_value() && *number < *min) return "must be at least " + Number(*min);
    if (max.has_value() && *number > *max) return "must be at most " + Number(*max);
  }
  if (max_bytes.has_value() && text.size() > *max_bytes)
    return "must be at most " + std::to_string(*max_bytes) + " bytes long";
  if (charset.has_value()) {
    if (*charset == Charset::kToken && !std::all_of(text.begin(), text.end(), IsTokenChar)) {
      return "may have only letters, digits and _ . : / @ + - (charset token)";
    }
    if (!IsHarmlessText(text, *charset == Charset::kText))
      return "may have no control characters (charset " +
             std::string(*charset == Charset::kText ? "text" : "printable") + ")";
  }
  if (least.has_value() && most.has_value()) {
    const auto duration = ParseGoDuration(text);
    if (!duration.has_value() || *duration < *least || *duration > *most) {
      return "must be from " + FormatGoDuration(*least) + " to " + FormatGoDuration(*most);
    }
  }
  return std::nullopt;
}

bool Constraint::Names(std::string_view text) const {
  return (constant.has_value() && *constant == text) ||
         std::find(choices.begin(), choices.end(), text) != choices.end();
}

bool IsHarmlessText(std::string_view text, bool lines) {
  bool ascii = true;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (lines && (c == '\n' || c == '\t')) continue;
    if (byte < 0x20 || byte == 0x7F) return false;
    ascii = ascii && byte < 0x80;
  }
  if (ascii) return true;
  // What a terminal must not see is what nobody else should: the one list of such characters is there.
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find_first_of("\n\t"), rest.size());
    const std::string_view part = rest.substr(0, end);
    if (EscapeForTerminal(part) != part) return false;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return true;
}

}  // namespace bulkhead::policy

#include "policy/constraint.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "policy/guards.h"
#include "policy/url.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

bool IsTokenChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_.:/@+-").find(c) != std::string_view::npos;
}

bool IsText(const Scalar& value) {
  return value.kind == Value::Kind::kString;
}

// A decimal number as JSON has it, without exponent or surprises.
std::optional<double> AsNumber(std::string_view text) {
  constexpr size_t kMostDigits = 17;
  if (text.empty() || text.size() > kMostDigits + 2 || text.find_first_not_of("0123456789.-") != std::string_view::npos)
    return std::nullopt;
  // A leading zero or a bare dot is another number, or none, to other readers.
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.starts_with('.') || digits.ends_with('.') || (digits.size() > 1 && digits[0] == '0' && digits[1] != '.')) {
    return std::nullopt;
  }
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

bool HasType(const Scalar& value, std::string_view type) {
  if (type == "string") return IsText(value);
  // Argo's parameters carry numbers and booleans as text.
  if (type == "boolean")
    return value.kind == Value::Kind::kBool || (IsText(value) && (value.text == "true" || value.text == "false"));
  const auto number = AsNumber(value.text);
  return number.has_value() && (type == "number" || value.text.find('.') == std::string_view::npos);
}

std::string Number(double number) {
  std::string text = std::to_string(number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

bool HostFits(std::string_view host, std::string_view wanted) {
  if (!wanted.starts_with("*.")) return host == wanted;
  // *.example.com is for names below example.com, not for it.
  const std::string_view below = wanted.substr(1);
  return host.size() > below.size() && host.ends_with(below);
}

std::string_view UrlProblem(const UrlConstraint& constraint, std::string_view text) {
  const auto url = ParseUrl(text);
  if (!url.has_value()) return "must be a plain URL: scheme, host and path, without user, dot segments or odd escapes";
  const auto& schemes = constraint.schemes;
  if (schemes.empty() ? url->scheme != "https"
                      : std::find(schemes.begin(), schemes.end(), url->scheme) == schemes.end())
    return "must be a URL of a scheme that the rule lists";
  if (std::none_of(constraint.hosts.begin(), constraint.hosts.end(),
                   [&](const std::string& host) { return HostFits(url->host, host); })) {
    return "must be a URL of a host that the rule lists";
  }
  const auto& ports = constraint.ports;
  const uint16_t own = url->scheme == "https" ? 443 : url->scheme == "http" ? 80 : 0;
  if (ports.empty() ? url->port != own : std::find(ports.begin(), ports.end(), url->port) == ports.end())
    return "must be a URL of a port that the rule lists";
  if (!constraint.path_prefix.empty() && !url->path.starts_with(constraint.path_prefix))
    return "must be a URL whose path begins as the rule says";
  return {};
}

bool IsDeclared(const ValueContext& context) {
  if (context.template_outputs == nullptr || context.list.empty()) return false;
  const Value* const list = context.template_outputs->Find(context.list);
  if (list == nullptr) return false;
  return std::any_of(list->items.begin(), list->items.end(), [&](const Value& item) {
    const Value* const name = item.Find("name");
    return name != nullptr && name->is_string() && name->text == context.key;
  });
}

bool SameScalar(const Scalar& a, const Scalar& b) {
  return a.kind == b.kind && a.boolean == b.boolean && a.text == b.text;
}

// Collects the reason of the first constraint that does not hold.
class Refusal {
 public:
  explicit Refusal(std::string* why) : why_(why) {}

  bool Because(std::string_view reason, std::string_view rest = {}, std::string_view end = {}) {
    if (why_ != nullptr) why_->append(reason).append(rest).append(end);
    return false;
  }

 private:
  std::string* why_;
};

}  // namespace

bool Constraint::Admits(const Scalar& value, const ValueContext& context, std::string* why) const {
  Refusal refused(why);
  const std::string_view text = value.text;
  const bool is_text = IsText(value);
  if (!is_text && value.kind != Value::Kind::kNumber && value.kind != Value::Kind::kBool)
    return refused.Because("must be a plain value: no constraint can allow a list or a mapping");
  if (unchanged && !SameScalar(value, context.before)) return refused.Because("must stay as it is");
  if (constant.has_value() && (!is_text || text != *constant)) return refused.Because("must be ", shown_constant);
  if (!choices.empty() && (!is_text || std::find(choices.begin(), choices.end(), text) == choices.end()))
    return refused.Because("must be one of ", shown_choices);
  if (matcher != nullptr && (!is_text || !RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *matcher)))
    return refused.Because("must match the pattern ", shown_pattern);
  if (!prefix.empty() && (!is_text || !text.starts_with(prefix)))
    return refused.Because("must begin with ", shown_prefix);
  if (!type.empty() && !HasType(value, type)) return refused.Because("must be of type ", type);
  if (min.has_value() || max.has_value()) {
    const auto number = AsNumber(text);
    if (!number.has_value()) return refused.Because("must be a decimal number");
    if (min.has_value() && *number < *min) return refused.Because("must be at least ", Number(*min));
    if (max.has_value() && *number > *max) return refused.Because("must be at most ", Number(*max));
  }
  if (max_bytes.has_value() && text.size() > *max_bytes)
    return refused.Because("must be at most ", std::to_string(*max_bytes), " bytes long");
  if (charset == Charset::kToken && !std::all_of(text.begin(), text.end(), IsTokenChar))
    return refused.Because("may have only letters, digits and _ . : / @ + - (charset token)");
  if (charset.has_value() && !IsHarmlessText(text, charset == Charset::kText)) {
    return refused.Because("may have no control characters (charset ", charset == Charset::kText ? "text" : "printable",
                           ")");
  }
  if (url.has_value()) {
    const std::string_view problem = is_text ? UrlProblem(*url, text) : "must be a URL";
    if (!problem.empty()) return refused.Because(problem);
  }
  if (least.has_value() && most.has_value()) {
    const auto duration = ParseGoDuration(text);
    if (!duration.has_value() || *duration < *least || *duration > *most)
      return refused.Because("must be from ", FormatGoDuration(*least) + " to " + FormatGoDuration(*most));
  }
  if (declared && !IsDeclared(context)) return refused.Because("must be an output that the template declares");
  return true;
}

bool Constraint::Names(std::string_view text) const {
  return (constant.has_value() && *constant == text) ||
         std::find(choices.begin(), choices.end(), text) != choices.end();
}

}  // namespace bulkhead::policy

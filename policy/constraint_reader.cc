// Reads the `value:` of a rule.
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "policy/constraint.h"
#include "policy/url.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

constexpr std::array<std::string_view, 4> kTypes = {"string", "integer", "number", "boolean"};
constexpr std::array<std::string_view, 3> kCharsets = {"token", "printable", "text"};
constexpr std::array<std::string_view, 7> kPhasesOfArgo = {"Pending", "Running", "Succeeded", "Skipped",
                                                           "Failed",  "Error",   "Omitted"};
constexpr int64_t kMostPatternMemory = 1 << 20;

class ConstraintReader {
 public:
  ConstraintReader(const Value& value, const LeafSpec& leaf, Diagnostics& diagnostics)
      : value_(value), leaf_(leaf), diagnostics_(diagnostics), fields_(value, "value", diagnostics) {}

  Constraint Read() {
    for (const Member& member : value_.members) constraint_.places.emplace_back(member.key, member.value.at);
    ReadTexts();
    ReadPattern();
    ReadPrefix();
    ReadNumbers();
    ReadCharset();
    ReadUrl();
    ReadDurations();
    constraint_.declared = Switch("declared");
    constraint_.unchanged = Switch("unchanged");
    fields_.Done();
    if (value_.is_object() && value_.members.empty())
      Add("E009", value_.at, "value is empty: write a constraint, or leave \"value\" out");
    CheckLeaf();
    return std::move(constraint_);
  }

 private:
  void Add(std::string_view id, Position at, std::string message, std::string_view hint = {}) {
    Diagnostic problem;
    problem.id = id;
    problem.at = at;
    problem.message = std::move(message);
    problem.hint = hint;
    diagnostics_.Add(std::move(problem));
  }

  void ReadTexts() {
    constraint_.constant = fields_.String("const");
    constraint_.choices = fields_.Strings("enum");
    const Value* const choices = fields_.Any("enum");
    if (choices != nullptr && choices->is_array() && choices->items.empty())
      Add("E009", choices->at, "value.enum is empty: nothing would be allowed; name the values");
    if (constraint_.constant.has_value()) constraint_.shown_constant = EscapeForTerminal(*constraint_.constant);
    constraint_.shown_choices = EscapeForTerminal(Join(constraint_.choices, ", "));
  }

  void ReadPattern() {
    const Value* const member = fields_.OfKind("pattern", Value::Kind::kString);
    if (member == nullptr) return;
    RE2::Options options(RE2::Quiet);
    options.set_max_mem(kMostPatternMemory);
    auto matcher = std::make_shared<const RE2>(member->text, options);
    constraint_.pattern = member->text;
    constraint_.shown_pattern = EscapeForTerminal(member->text);
    if (matcher->ok()) {
      constraint_.matcher = std::move(matcher);
    } else {
      Add("E020", member->at,
          "value.pattern is no RE2 expression (https://github.com/google/re2/wiki/Syntax): " +
              EscapeForTerminal(matcher->error()));
    }
  }

  void ReadPrefix() {
    const Value* const member = fields_.OfKind("prefix", Value::Kind::kString);
    if (member == nullptr) return;
    constraint_.prefix = member->text;
    constraint_.shown_prefix = EscapeForTerminal(member->text);
    if (member->text.empty()) {
      Add("E009", member->at, "value.prefix is empty: it would allow everything");
    } else if (std::string_view("/:-._=@").find(member->text.back()) == std::string_view::npos) {
      Add("E009", member->at,
          "value.prefix must end in a delimiter (/ : - . _ = @): \"prod\" would also allow \"production\"");
    }
  }

  std::optional<double> ReadNumber(std::string_view key) {
    const Value* const member = fields_.OfKind(key, Value::Kind::kNumber);
    if (member == nullptr) return std::nullopt;
    double number = 0;
    const char* const end = member->text.data() + member->text.size();
    const auto parsed = std::from_chars(member->text.data(), end, number, std::chars_format::fixed);
    if (parsed.ec == std::errc() && parsed.ptr == end && member->text.size() <= 17) return number;
    Add("E009", member->at, "value." + std::string(key) + " must be a decimal number of at most 17 digits");
    return std::nullopt;
  }

  void ReadNumbers() {
    if (const Value* type = fields_.OfKind("type", Value::Kind::kString)) {
      constraint_.type = type->text;
      if (std::find(kTypes.begin(), kTypes.end(), type->text) == kTypes.end()) {
        Add("E009", type->at, "value.type must be string, integer, number or boolean",
            Nearest(type->text, kTypes).value_or(""));
      }
    }
    constraint_.min = ReadNumber("min");
    constraint_.max = ReadNumber("max");
    if (constraint_.min.has_value() && constraint_.max.has_value() && *constraint_.min > *constraint_.max)
      Add("E009", value_.at, "value.min is more than value.max: nothing would be allowed");
    if (const auto bytes = fields_.Int("maxBytes", 0, int64_t{1} << 30))
      constraint_.max_bytes = static_cast<size_t>(*bytes);
  }

  void ReadCharset() {
    const Value* const member = fields_.OfKind("charset", Value::Kind::kString);
    if (member == nullptr) return;
    const auto* const found = std::find(kCharsets.begin(), kCharsets.end(), member->text);
    if (found == kCharsets.end()) {
      Add("E009", member->at, "value.charset must be token, printable or text",
          Nearest(member->text, kCharsets).value_or(""));
      return;
    }
    constraint_.charset = static_cast<Charset>(found - kCharsets.begin());
  }

  void ReadUrl() {
    const Value* const member = fields_.OfKind("url", Value::Kind::kObject);
    if (member == nullptr) return;
    UrlConstraint url;
    Fields inner(*member, "url", diagnostics_);
    url.schemes = inner.Strings("schemes");
    url.hosts = inner.Strings("hosts");
    if (url.hosts.empty()) Add("E008", member->at, "value.url needs \"hosts\": the hosts that may be named");
    for (const std::string& host : url.hosts) {
      const std::string_view plain = std::string_view(host).substr(host.starts_with("*.") ? 2 : 0);
      const auto parsed = ParseUrl("https://" + std::string(plain) + "/");
      if (!parsed.has_value() || parsed->host != plain)
        Add("E009", inner.Any("hosts")->at,
            "value.url.hosts: \"" + EscapeForTerminal(host) + "\" is no host in lower case; *. may stand before it");
    }
    if (const Value* ports = inner.OfKind("ports", Value::Kind::kArray)) {
      for (const Value& port : ports->items) {
        uint16_t number = 0;
        const char* const end = port.text.data() + port.text.size();
        const auto parsed = std::from_chars(port.text.data(), end, number);
        if (!port.is_number() || parsed.ec != std::errc() || parsed.ptr != end || number == 0) {
          Add("E009", port.at, "value.url.ports must hold whole numbers from 1 to 65535");
        } else {
          url.ports.push_back(number);
        }
      }
    }
    url.path_prefix = inner.String("pathPrefix").value_or("");
    if (!url.path_prefix.empty() && (!url.path_prefix.starts_with('/') || !url.path_prefix.ends_with('/')))
      Add("E009", inner.Any("pathPrefix")->at, "value.url.pathPrefix must begin and end with /");
    inner.Done();
    constraint_.url = std::move(url);
  }

  std::optional<std::chrono::nanoseconds> ReadDuration(Fields& fields, std::string_view key) {
    const Value* const member = fields.OfKind(key, Value::Kind::kString);
    if (member == nullptr) {
      if (fields.Any(key) == nullptr)
        Add("E008", fields.at(), "value.duration needs \"" + std::string(key) + "\", such as 30s");
      return std::nullopt;
    }
    const auto duration = ParseGoDuration(member->text);
    if (duration.has_value() && duration->count() >= 0) return duration;
    Add("E009", member->at, "value.duration." + std::string(key) + " must be a Go duration such as 30s or 10m");
    return std::nullopt;
  }

  void ReadDurations() {
    const Value* const member = fields_.OfKind("duration", Value::Kind::kObject);
    if (member == nullptr) return;
    Fields inner(*member, "duration", diagnostics_);
    constraint_.least = ReadDuration(inner, "min");
    constraint_.most = ReadDuration(inner, "max");
    inner.Done();
    if (constraint_.least.has_value() && constraint_.most.has_value() && *constraint_.least > *constraint_.most)
      Add("E009", member->at, "value.duration: min is more than max");
  }

  bool Switch(std::string_view key) {
    const auto on = fields_.Bool(key);
    if (on.has_value() && !*on)
      Add("E009", fields_.Any(key)->at, "value." + std::string(key) + " can only be true; leave it out otherwise");
    return on.value_or(false);
  }

  // Constraints that no value of the leaf could meet.
  void CheckLeaf() {
    const FieldType type = leaf_.field->type;
    const bool text = type == FieldType::kString || type == FieldType::kAnyString || type == FieldType::kStringMap ||
                      type == FieldType::kDuration;
    if (constraint_.least.has_value() && type != FieldType::kDuration) {
      Add("E029", value_.at,
          "value.duration is for requeue; \"" + std::string(leaf_.field->name) + "\" is no duration");
    }
    const bool of_text = constraint_.constant.has_value() || !constraint_.choices.empty() ||
                         !constraint_.pattern.empty() || !constraint_.prefix.empty() || constraint_.url.has_value();
    if (of_text && !text) {
      Add("E029", value_.at,
          "\"" + std::string(leaf_.field->name) + "\" is " + std::string(TypeName(type)) +
              ", not a string: no text can match it");
    }
    if (constraint_.declared && leaf_.path.find("outputs.parameters[]") == std::string_view::npos &&
        leaf_.path.find("outputs.artifacts[]") == std::string_view::npos) {
      Add("E029", value_.at, "value.declared is for output parameters and artifacts");
    }
    if (leaf_.path != "node.phase") return;
    const auto check = [&](const std::string& phase) {
      if (std::find(kPhasesOfArgo.begin(), kPhasesOfArgo.end(), phase) != kPhasesOfArgo.end()) return;
      Add("E024", value_.at, "\"" + EscapeForTerminal(phase) + "\" is no phase of Argo",
          Nearest(phase, kPhasesOfArgo).value_or(""));
    };
    if (constraint_.constant.has_value()) check(*constraint_.constant);
    for (const std::string& choice : constraint_.choices) check(choice);
  }

  const Value& value_;
  const LeafSpec& leaf_;
  Diagnostics& diagnostics_;
  Fields fields_;
  Constraint constraint_;
};

}  // namespace

Constraint ReadConstraint(const Value& value, const LeafSpec& leaf, Diagnostics& diagnostics) {
  return ConstraintReader(value, leaf, diagnostics).Read();
}

}  // namespace bulkhead::policy

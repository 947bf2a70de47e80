#include "policy/tools/rule_text.h"

#include <algorithm>
#include <charconv>

#include "policy/tools/source_tree.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy::tools {

namespace {

std::string List(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) text += (text.size() > 1 ? ", " : "") + FlowScalar(item);
  return text + "]";
}

std::string Number(double number) {
  constexpr size_t kMost = 32;
  std::string text(kMost, '\0');
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (end.ec != std::errc()) return std::to_string(number);
  text.resize(static_cast<size_t>(end.ptr - text.data()));
  return text;
}

std::string_view CharsetName(Charset charset) {
  switch (charset) {
    case Charset::kToken: return "token";
    case Charset::kPrintable: return "printable";
    case Charset::kText: return "text";
  }
  return "";
}

std::string UrlText(const UrlConstraint& url) {
  std::string text = "{hosts: " + List(url.hosts);
  if (!url.schemes.empty()) text += ", schemes: " + List(url.schemes);
  if (!url.ports.empty()) {
    text += ", ports: [";
    for (size_t i = 0; i < url.ports.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(url.ports[i]);
    text += "]";
  }
  if (!url.path_prefix.empty()) text += ", pathPrefix: " + FlowScalar(url.path_prefix);
  return text + "}";
}

}  // namespace

std::string FlowScalar(std::string_view text) {
  const bool simple = !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '/';
  });
  if (simple && text.front() != '-' && text.front() != '.') {
    const auto read = ParseYaml(text, "");
    if (read.ok() && read.value().size() == 1 && read.value()[0].is_string() && read.value()[0].text == text)
      return std::string(text);
  }
  return QuoteScalar(text);
}

std::string ConstraintText(const std::optional<Constraint>& constraint) {
  if (!constraint.has_value()) return "{}";
  const Constraint& c = *constraint;
  std::string text;
  const auto add = [&](std::string_view key, const std::string& value) {
    text += (text.empty() ? "" : ", ") + std::string(key) + ": " + value;
  };
  if (c.constant.has_value()) add("const", FlowScalar(*c.constant));
  if (!c.choices.empty()) add("enum", List(c.choices));
  if (!c.pattern.empty()) add("pattern", QuoteScalar(c.pattern));
  if (!c.prefix.empty()) add("prefix", FlowScalar(c.prefix));
  if (!c.type.empty()) add("type", c.type);
  if (c.min.has_value()) add("min", Number(*c.min));
  if (c.max.has_value()) add("max", Number(*c.max));
  if (c.max_bytes.has_value()) add("maxBytes", std::to_string(*c.max_bytes));
  if (c.charset.has_value()) add("charset", std::string(CharsetName(*c.charset)));
  if (c.url.has_value()) add("url", UrlText(*c.url));
  if (c.least.has_value() && c.most.has_value())
    add("duration", "{min: " + FormatGoDuration(*c.least) + ", max: " + FormatGoDuration(*c.most) + "}");
  if (c.declared) add("declared", "true");
  if (c.unchanged) add("unchanged", "true");
  return "{" + text + "}";
}

std::string OpsText(const Rule& rule) {
  std::string text;
  const auto add = [&](bool given, std::string_view name) {
    if (given) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add(rule.add, "add");
  add(rule.change, "change");
  add(rule.remove, "remove");
  return text;
}

}  // namespace bulkhead::policy::tools

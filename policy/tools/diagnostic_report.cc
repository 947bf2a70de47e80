#include "policy/tools/diagnostic_report.h"

#include <algorithm>
#include <set>

#include "policy/tools/lint_ids.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

std::string WithHint(const Diagnostic& diagnostic) {
  if (diagnostic.hint.empty()) return diagnostic.message;
  return diagnostic.message + " (did you mean \"" + diagnostic.hint + "\"?)";
}

std::string_view SeverityName(Severity severity) {
  return severity == Severity::kError ? "error" : "warning";
}

std::string Count(size_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

std::string Pretty(std::span<const Diagnostic> diagnostics, const Sources& sources) {
  std::string out;
  size_t errors = 0;
  for (const Diagnostic& diagnostic : diagnostics) {
    const auto source = sources.find(diagnostic.file);
    out += Render(diagnostic, source == sources.end() ? std::string_view() : std::string_view(source->second));
    errors += diagnostic.severity == Severity::kError ? 1 : 0;
  }
  if (!diagnostics.empty()) out += Count(errors, "error") + ", " + Count(diagnostics.size() - errors, "warning") + "\n";
  return out;
}

Value Text(std::string_view text) {
  return Value::String(std::string(text));
}

std::string Json(std::span<const Diagnostic> diagnostics) {
  Value list = Value::Array();
  for (const Diagnostic& diagnostic : diagnostics) {
    Value& one = list.items.emplace_back(Value::Object());
    one.Set("id", Text(diagnostic.id));
    one.Set("severity", Text(SeverityName(diagnostic.severity)));
    one.Set("file", Text(diagnostic.file));
    one.Set("line", Value::Number(diagnostic.at.line));
    one.Set("column", Value::Number(diagnostic.at.column));
    if (diagnostic.length > 0) one.Set("length", Value::Number(diagnostic.length));
    one.Set("message", Text(diagnostic.message));
    if (!diagnostic.hint.empty()) one.Set("hint", Text(diagnostic.hint));
  }
  Value document = Value::Object();
  document.Set("diagnostics", std::move(list));
  return ToPrettyJson(document) + "\n";
}

std::string Github(std::span<const Diagnostic> diagnostics) {
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics) {
    out += "::" + std::string(SeverityName(diagnostic.severity)) + " file=" + GithubProperty(diagnostic.file);
    if (diagnostic.at.line != 0) {
      out += ",line=" + std::to_string(diagnostic.at.line) + ",col=" + std::to_string(diagnostic.at.column);
    }
    if (!diagnostic.id.empty()) out += ",title=" + GithubProperty(diagnostic.id);
    out += "::" + GithubData(WithHint(diagnostic)) + "\n";
  }
  return out;
}

Value SarifResult(const Diagnostic& diagnostic) {
  Value region = Value::Object();
  // SARIF counts from 1; a whole file has no region.
  region.Set("startLine", Value::Number(diagnostic.at.line));
  region.Set("startColumn", Value::Number(diagnostic.at.column));
  if (diagnostic.length > 0) region.Set("endColumn", Value::Number(diagnostic.at.column + diagnostic.length));
  Value artifact = Value::Object();
  artifact.Set("uri", Text(diagnostic.file));
  Value physical = Value::Object();
  physical.Set("artifactLocation", std::move(artifact));
  if (diagnostic.at.line != 0) physical.Set("region", std::move(region));
  Value location = Value::Object();
  location.Set("physicalLocation", std::move(physical));
  Value locations = Value::Array();
  locations.items.push_back(std::move(location));
  Value message = Value::Object();
  message.Set("text", Text(WithHint(diagnostic)));
  Value result = Value::Object();
  if (!diagnostic.id.empty()) result.Set("ruleId", Text(diagnostic.id));
  result.Set("level", Text(SeverityName(diagnostic.severity)));
  result.Set("message", std::move(message));
  result.Set("locations", std::move(locations));
  return result;
}

std::string Sarif(std::span<const Diagnostic> diagnostics) {
  std::set<std::string> ids;
  Value results = Value::Array();
  for (const Diagnostic& diagnostic : diagnostics) {
    if (!diagnostic.id.empty()) ids.insert(diagnostic.id);
    results.items.push_back(SarifResult(diagnostic));
  }
  Value rules = Value::Array();
  for (const std::string& id : ids) {
    Value& rule = rules.items.emplace_back(Value::Object());
    rule.Set("id", Text(id));
    if (const LintId* known = FindLintId(id)) {
      Value description = Value::Object();
      description.Set("text", Text(known->what));
      rule.Set("shortDescription", std::move(description));
    }
  }
  Value driver = Value::Object();
  driver.Set("name", Text("bulkhead"));
  driver.Set("rules", std::move(rules));
  Value tool = Value::Object();
  tool.Set("driver", std::move(driver));
  Value run = Value::Object();
  run.Set("tool", std::move(tool));
  run.Set("columnKind", Text("unicodeCodePoints"));
  run.Set("results", std::move(results));
  Value runs = Value::Array();
  runs.items.push_back(std::move(run));
  Value document = Value::Object();
  document.Set("$schema", Text("https://json.schemastore.org/sarif-2.1.0.json"));
  document.Set("version", Text("2.1.0"));
  document.Set("runs", std::move(runs));
  return ToPrettyJson(document) + "\n";
}

std::string Escaped(std::string_view text, std::string_view special) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : EscapeForTerminal(text)) {
    if (c == '%' || special.find(c) != std::string_view::npos) {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 0xFU];
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string GithubData(std::string_view text) {
  return Escaped(text, "\r\n");
}

std::string GithubProperty(std::string_view text) {
  return Escaped(text, "\r\n:,");
}

std::string RenderAll(std::span<const Diagnostic> diagnostics, const Sources& sources, DiagnosticFormat format) {
  switch (format) {
    case DiagnosticFormat::kPretty: return Pretty(diagnostics, sources);
    case DiagnosticFormat::kJson: return Json(diagnostics);
    case DiagnosticFormat::kGithub: return Github(diagnostics);
    case DiagnosticFormat::kSarif: return Sarif(diagnostics);
  }
  return "";
}

}  // namespace bulkhead::policy::tools

#include "policy/tools/test_report.h"

#include "policy/tools/diagnostic_report.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

constexpr size_t kMostListed = 10;

Value AsValue(std::string_view text) {
  return Value::String(std::string(text));
}

Value Count(size_t count) {
  return Value::Number(static_cast<int64_t>(count));
}

std::string PlaceIn(const SuiteResult& suite, Position at) {
  return suite.file + ":" + std::to_string(at.line);
}

// What a suite did besides its cases, as checks of their own: name to failures.
struct Extra {
  std::string name;
  std::vector<std::string> failures;
  std::vector<std::string> warnings;  // what is missing, where the bar asks for no more
};

std::string Of(size_t part, size_t whole, int percent) {
  return std::to_string(part) + " of " + std::to_string(whole) + " (" + std::to_string(percent) + "%)";
}

std::vector<Extra> Extras(const SuiteResult& suite) {
  std::vector<Extra> extras;
  Extra coverage{"rule coverage: " + Of(suite.rules - suite.unexercised.size(), suite.rules, suite.coverage()), {}, {}};
  for (const RuleResult& rule : suite.unexercised) {
    (suite.coverage() < suite.bars.rule_coverage ? coverage.failures : coverage.warnings)
        .push_back(rule.place + ": no case exercises rule " + rule.rule + " of " + rule.policy + " [W071]");
  }
  extras.push_back(std::move(coverage));
  if (suite.kill_tried) {
    Extra kill{"rule kill: " + Of(suite.mutants - suite.survivors.size(), suite.mutants, suite.kill()), {}, {}};
    for (const Survivor& survivor : suite.survivors) {
      (suite.kill() < suite.bars.rule_kill ? kill.failures : kill.warnings)
          .push_back(survivor.rule.place + ": no case notices rule " + survivor.rule.rule + " " + survivor.change +
                     "; write " + survivor.advice + " [W072]");
    }
    extras.push_back(std::move(kill));
  }
  Extra corpus{"hostile corpus: " + std::to_string(suite.corpus - suite.corpus_passed.size()) + " of " +
                   std::to_string(suite.corpus) + " refused",
               {},
               {}};
  for (const std::string& name : suite.corpus_passed) corpus.failures.push_back("let through: " + name);
  extras.push_back(std::move(corpus));
  return extras;
}

void AppendFailures(const std::vector<std::string>& failures, std::string& out) {
  for (size_t i = 0; i < failures.size(); ++i) {
    if (i == kMostListed) {
      out += "        and " + std::to_string(failures.size() - kMostListed) + " more\n";
      return;
    }
    out += "        " + EscapeForTerminal(failures[i]) + "\n";
  }
}

std::string Pretty(std::span<const SuiteResult> suites, bool verbose) {
  std::string out;
  size_t passed = 0;
  size_t failed = 0;
  for (const SuiteResult& suite : suites) {
    out += suite.file + "\n";
    for (const CaseResult& one : suite.cases) {
      const bool good = one.failures.empty();
      ++(good ? passed : failed);
      if (good && !verbose) continue;
      out += (good ? "  ok    " : "  FAIL  ") + EscapeForTerminal(one.name) +
             (good ? "" : "  (" + PlaceIn(suite, one.at) + ")") + "\n";
      AppendFailures(one.failures, out);
    }
    if (suite.failed() == 0 && !verbose)
      out += "  ok    " + std::to_string(suite.cases.size()) + (suite.cases.size() == 1 ? " case\n" : " cases\n");
    for (const Extra& extra : Extras(suite)) {
      const bool good = extra.failures.empty();
      out += (!good ? "  FAIL  " : extra.warnings.empty() ? "  ok    " : "  warn  ") + extra.name + "\n";
      AppendFailures(good ? extra.warnings : extra.failures, out);
    }
    if (!suite.kill_tried) out += "  --    rule kill is tried when all cases pass\n";
  }
  out += std::to_string(passed) + " passed, " + std::to_string(failed) + " failed\n";
  return out;
}

std::string Json(std::span<const SuiteResult> suites) {
  Value list = Value::Array();
  const auto texts = [](const std::vector<std::string>& lines) {
    Value array = Value::Array();
    for (const std::string& line : lines) array.items.push_back(AsValue(line));
    return array;
  };
  const auto rule_value = [](const RuleResult& rule) {
    Value value = Value::Object();
    value.Set("policy", AsValue(rule.policy));
    value.Set("rule", AsValue(rule.rule));
    value.Set("place", AsValue(rule.place));
    return value;
  };
  for (const SuiteResult& suite : suites) {
    Value& value = list.items.emplace_back(Value::Object());
    value.Set("file", AsValue(suite.file));
    Value cases = Value::Array();
    for (const CaseResult& one : suite.cases) {
      Value& item = cases.items.emplace_back(Value::Object());
      item.Set("name", AsValue(one.name));
      item.Set("line", Value::Number(one.at.line));
      item.Set("passed", Value::Bool(one.failures.empty()));
      if (!one.failures.empty()) item.Set("failures", texts(one.failures));
    }
    value.Set("cases", std::move(cases));
    value.Set("rules", Count(suite.rules));
    value.Set("ruleCoverage", Value::Number(suite.coverage()));
    Value unexercised = Value::Array();
    for (const RuleResult& rule : suite.unexercised) unexercised.items.push_back(rule_value(rule));
    value.Set("unexercised", std::move(unexercised));
    if (suite.kill_tried) {
      value.Set("mutants", Count(suite.mutants));
      value.Set("ruleKill", Value::Number(suite.kill()));
      Value survivors = Value::Array();
      for (const Survivor& survivor : suite.survivors) {
        Value& item = survivors.items.emplace_back(rule_value(survivor.rule));
        item.Set("change", AsValue(survivor.change));
        item.Set("write", AsValue(survivor.advice));
      }
      value.Set("survivors", std::move(survivors));
    }
    value.Set("hostileReplies", Count(suite.corpus));
    value.Set("letThrough", texts(suite.corpus_passed));
  }
  Value document = Value::Object();
  document.Set("suites", std::move(list));
  return ToPrettyJson(document) + "\n";
}

// One line for each check of each suite, with its failures: the form that JUnit, TAP and GitHub share.
struct Line {
  const SuiteResult* suite;
  std::string name;
  Position at;
  std::vector<std::string> failures;
};

std::vector<Line> Lines(std::span<const SuiteResult> suites) {
  std::vector<Line> lines;
  for (const SuiteResult& suite : suites) {
    for (const CaseResult& one : suite.cases) lines.push_back({&suite, one.name, one.at, one.failures});
    for (Extra& extra : Extras(suite))
      lines.push_back({&suite, std::move(extra.name), {1, 1}, std::move(extra.failures)});
  }
  return lines;
}

// Text for XML 1.0, which has no way to write control characters: they are escaped as for a terminal.
std::string Xml(std::string_view text) {
  std::string out;
  for (const char c : EscapeForTerminal(text)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string Junit(std::span<const SuiteResult> suites) {
  const std::vector<Line> lines = Lines(suites);
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"bulkhead policy test\">\n";
  for (const SuiteResult& suite : suites) {
    size_t tests = 0;
    size_t failures = 0;
    std::string body;
    for (const Line& line : lines) {
      if (line.suite != &suite) continue;
      ++tests;
      body += "    <testcase classname=\"" + Xml(suite.file) + "\" name=\"" + Xml(line.name) + "\" file=\"" +
              Xml(suite.file) + "\" line=\"" + std::to_string(line.at.line) + "\"";
      if (line.failures.empty()) {
        body += "/>\n";
        continue;
      }
      ++failures;
      body += ">\n      <failure message=\"" + Xml(line.failures.front()) + "\">" + Xml(Join(line.failures, "; ")) +
              "</failure>\n    </testcase>\n";
    }
    out += "  <testsuite name=\"" + Xml(suite.file) + "\" tests=\"" + std::to_string(tests) + "\" failures=\"" +
           std::to_string(failures) + "\">\n" + body + "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

std::string Tap(std::span<const SuiteResult> suites) {
  const std::vector<Line> lines = Lines(suites);
  std::string out = "TAP version 13\n1.." + std::to_string(lines.size()) + "\n";
  for (size_t i = 0; i < lines.size(); ++i) {
    const Line& line = lines[i];
    // A number sign would begin a directive.
    std::string name = EscapeForTerminal(line.suite->file + ": " + line.name);
    for (size_t at = name.find('#'); at != std::string::npos; at = name.find('#', at + 2)) name.replace(at, 1, "\\#");
    out += (line.failures.empty() ? "ok " : "not ok ") + std::to_string(i + 1) + " - " + name + "\n";
    for (const std::string& failure : line.failures) out += "  # " + EscapeForTerminal(failure) + "\n";
  }
  return out;
}

std::string Github(std::span<const SuiteResult> suites) {
  std::string out;
  for (const Line& line : Lines(suites)) {
    if (line.failures.empty()) continue;
    out += "::error file=" + GithubProperty(line.suite->file) + ",line=" + std::to_string(line.at.line) +
           ",title=" + GithubProperty(line.name) + "::" + GithubData(Join(line.failures, "; ")) + "\n";
  }
  return out;
}

}  // namespace

std::string RenderTests(std::span<const SuiteResult> suites, TestFormat format, bool verbose) {
  switch (format) {
    case TestFormat::kPretty: return Pretty(suites, verbose);
    case TestFormat::kJson: return Json(suites);
    case TestFormat::kJunit: return Junit(suites);
    case TestFormat::kTap: return Tap(suites);
    case TestFormat::kGithub: return Github(suites);
  }
  return "";
}

}  // namespace bulkhead::policy::tools

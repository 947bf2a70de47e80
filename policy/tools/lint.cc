#include "policy/tools/lint.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

void AddTo(std::vector<Diagnostic>& out, const std::string& file, std::string_view id, Position at,
           std::string message) {
  Diagnostic diagnostic;
  diagnostic.id = std::string(id);
  diagnostic.severity = id.starts_with('E') ? Severity::kError : Severity::kWarning;
  diagnostic.file = file;
  diagnostic.at = at;
  diagnostic.message = std::move(message);
  out.push_back(std::move(diagnostic));
}

bool SameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  return a == b || std::filesystem::equivalent(a, b, error);
}

// The templates of the cases that are allowed, as if they stood in workflows.
template <typename Named>
void LintReturned(const TestFile& test, std::span<const Policy> policies, const Named& named,
                  std::vector<Diagnostic>& out) {
  std::vector<KnownTemplate> templates;
  for (const TestCase& one : test.cases) {
    if (one.expect.verdict != "allow" || one.context.tmpl.members.empty()) continue;
    KnownTemplate& known = templates.emplace_back();
    known.plugin = one.context.plugin;
    known.name_space = one.context.WorkflowText("namespace");
    known.name = one.context.TemplateName();
    if (const Value* const outputs = one.context.tmpl.Find("outputs")) known.outputs = *outputs;
    known.place = test.file + ":" + std::to_string(one.at.line);
  }
  LintSink sink(out);
  for (const Policy& policy : policies) {
    if (named(policy)) LintDeclared(policy, templates, "its tests", sink);
  }
}

void LintTestFile(const TestFile& test, std::span<const Policy> policies, std::vector<Diagnostic>& out) {
  const bool refusal = std::any_of(test.cases.begin(), test.cases.end(), [](const TestCase& one) {
    return one.expect.verdict == "deny" || one.expect.verdict == "error";
  });
  if (!refusal && !test.cases.empty())
    AddTo(out, test.file, "W073", test.cases.front().at, "no case expects a refusal: test what must not pass");
  std::set<std::string> told;
  const auto named = [&](const Policy& policy) {
    return std::any_of(test.policies.begin(), test.policies.end(),
                       [&](const std::string& file) { return SameFile(file, policy.file); });
  };
  const bool known = std::any_of(policies.begin(), policies.end(), named);
  LintReturned(test, policies, named, out);
  for (const TestCase& one : test.cases) {
    if (one.expect.verdict != "allow" && one.expect.verdict != "not-mine" && !one.expect.violations.has_value()) {
      AddTo(out, test.file, "W074", one.expect.at,
            "the case \"" + EscapeForTerminal(one.name) + "\" would pass whatever refuses it: name its violations");
    }
    // A case of a refusal may declare whatever it needs.
    if (one.expect.verdict != "allow" || !known) continue;
    for (const auto& [list, name] : DeclaredOutputs(one.context.tmpl.Find("outputs"))) {
      const std::string path = "node.outputs." + list + KeyStep(name) + ".name";
      const bool allowed = std::any_of(policies.begin(), policies.end(), [&, &key = path](const Policy& policy) {
        return named(policy) && std::any_of(policy.allow.begin(), policy.allow.end(),
                                            [&](const Rule& rule) { return rule.path.Matches(key); });
      });
      if (!allowed && told.insert(path).second) {
        AddTo(out, test.file, "W081", one.at,
              "the template declares the output \"" + EscapeForTerminal(name) + "\", but no rule allows " +
                  EscapeForTerminal(path));
      }
    }
  }
}

}  // namespace

void LintSink::Add(const Policy& policy, std::string_view id, Position at, std::string message, size_t length) {
  AddTo(out_, policy.file, id, at.line == 0 ? policy.at : at, std::move(message));
  out_.back().length = static_cast<uint32_t>(length);
}

std::vector<Diagnostic> Lint(std::span<const Policy> policies, int64_t now) {
  std::vector<Diagnostic> out;
  LintSink sink(out);
  for (const Policy& policy : policies) {
    LintRules(policy, sink);
    LintChecks(policy, sink);
    LintOutputs(policy, sink);
  }
  LintMatch(policies, now, sink);
  return out;
}

std::vector<Diagnostic> LintTests(std::span<const Policy> policies, std::span<const TestFile> tests) {
  std::vector<Diagnostic> out;
  for (const Policy& policy : policies) {
    const bool tested = std::any_of(tests.begin(), tests.end(), [&](const TestFile& test) {
      return std::any_of(test.policies.begin(), test.policies.end(),
                         [&](const std::string& file) { return SameFile(file, policy.file); });
    });
    if (!tested) {
      AddTo(out, policy.file, "W070", policy.name_at.line != 0 ? policy.name_at : policy.at,
            "no test file names policy " + policy.name + ": write one beside it (`bulkhead policy test --help`)");
    }
  }
  for (const TestFile& test : tests) LintTestFile(test, policies, out);
  return out;
}

bool GlobsMeet(std::string_view a, std::string_view b) {
  // reach[j]: a[0..i) and b[0..j) can have matched the same text.
  std::vector<char> reach(b.size() + 1, 0);
  std::vector<char> next;
  reach[0] = 1;
  for (size_t j = 0; j < b.size() && b[j] == '*'; ++j) reach[j + 1] = 1;
  for (const char c : a) {
    next.assign(b.size() + 1, 0);
    if (c == '*') next[0] = reach[0];
    for (size_t j = 0; j < b.size(); ++j) {
      if (c == '*') {
        // The star takes nothing, or one more character (or star) of b.
        next[j + 1] = static_cast<char>(reach[j + 1] != 0 || next[j] != 0 || (b[j] == '*' && reach[j] != 0));
      } else if (b[j] == '*') {
        next[j + 1] = static_cast<char>(reach[j + 1] != 0 || reach[j] != 0 || next[j] != 0);
      } else {
        next[j + 1] = static_cast<char>(reach[j] != 0 && b[j] == c);
      }
    }
    reach.swap(next);
  }
  return reach[b.size()] != 0;
}

}  // namespace bulkhead::policy::tools

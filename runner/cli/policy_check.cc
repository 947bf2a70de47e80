// bulkhead policy check: what is wrong with policies and their tests, and what is unwise.
#include <algorithm>
#include <map>
#include <memory>

#include "policy/tools/lint.h"
#include "policy/tools/lint_ids.h"
#include "runner/base/text.h"
#include "runner/cli/policy_command.h"
#include "runner/http/egress.h"

namespace bulkhead::cli {

namespace {

using policy::tools::DiagnosticFormat;

struct Options {
  std::vector<std::string> paths;
  std::vector<std::string> ignore;
  DiagnosticFormat format = DiagnosticFormat::kPretty;
  bool strict = false;
  bool ids = false;
};

int PrintIds() {
  std::vector<std::vector<Cell>> rows;
  for (const policy::tools::LintId& one : policy::tools::LintIds()) {
    rows.push_back({Cell{std::string(one.id)}, Cell{std::string(DecidedByName(one.by))}, Cell{std::string(one.what)},
                    Cell{std::string(one.instead)}});
  }
  Print(Table({"ID", "GIVEN BY", "WHAT", "INSTEAD"}, rows));
  return kExitOk;
}

// By file, in the order given, then by place.
void Sort(std::vector<policy::Diagnostic>& list, const policy::tools::Workspace& space) {
  std::map<std::string, size_t> order;
  for (const policy::Diagnostic& one : space.diagnostics) order.emplace(one.file, order.size());
  for (const auto& [file, text] : space.sources) order.emplace(file, order.size());
  std::stable_sort(list.begin(), list.end(), [&](const policy::Diagnostic& a, const policy::Diagnostic& b) {
    if (a.file != b.file) return order[a.file] < order[b.file];
    return a.at.line != b.at.line ? a.at.line < b.at.line : a.at.column < b.at.column;
  });
}

void PrintGood(const policy::tools::Workspace& space, const std::vector<std::string>& others) {
  const size_t count = space.policies.size() + others.size();
  Print("ok: " + std::to_string(count) + (count == 1 ? " policy" : " policies") +
        (space.tests.empty()
             ? ""
             : ", " + std::to_string(space.tests.size()) + " test file" + (space.tests.size() == 1 ? "" : "s")) +
        "\n");
  for (const policy::Policy& policy : space.policies) Print("  " + policy.name + "\n");
  for (const std::string& name : others) Print("  " + name + "\n");
}

int Check(const Options& options) {
  if (options.ids) return PrintIds();
  if (options.paths.empty()) return Fail(Error(Code::kInvalidInput, "name a policy file, or a folder of them"));
  auto space = policy::tools::OpenWorkspace(options.paths);
  if (!space.ok()) return FailToRead(space.error());
  std::vector<policy::Diagnostic> list = space->diagnostics;
  for (auto& lints :
       {policy::tools::Lint(space->policies, NowSeconds()), policy::tools::LintTests(space->policies, space->tests)}) {
    list.insert(list.end(), lints.begin(), lints.end());
  }
  std::erase_if(list, [&](const policy::Diagnostic& one) {
    return one.severity == policy::Severity::kWarning &&
           std::find(options.ignore.begin(), options.ignore.end(), one.id) != options.ignore.end();
  });
  Sort(list, *space);
  const bool errors = std::any_of(
      list.begin(), list.end(), [](const policy::Diagnostic& one) { return one.severity == policy::Severity::kError; });
  Print(policy::tools::RenderAll(list, space->sources, options.format));
  if (errors) return kExitPolicy;
  // Where HTTP templates may go is a language of its own, with a reader of its own.
  std::vector<std::string> files;
  files.reserve(space->sources.size());
  for (const auto& [file, text] : space->sources) files.push_back(file);
  const auto egress = http::LoadEgressPolicies(files);
  if (!egress.ok()) {
    static_cast<void>(Fail(egress.error()));
    return kExitPolicy;
  }
  if (options.strict && !list.empty()) return kExitPolicy;
  if (options.format == DiagnosticFormat::kPretty) PrintGood(*space, egress.value().Names());
  return kExitOk;
}

}  // namespace

void AddPolicyCheck(const Verb& policy, Action& action) {
  const Verb check = policy.AddVerb("check", "Report every error and every unwise thing, with its place");
  const auto options = std::make_shared<Options>();
  check.AddOption("PATH", options->paths, "Policy and test files, or folders of them");
  check
      .AddChoice("-o,--output", options->format,
                 {{"pretty", DiagnosticFormat::kPretty},
                  {"json", DiagnosticFormat::kJson},
                  {"github", DiagnosticFormat::kGithub},
                  {"sarif", DiagnosticFormat::kSarif}},
                 "pretty (for people), json, github (annotations) or sarif")
      .ValueName("pretty|json|github|sarif");
  check.AddFlag("--strict", options->strict, "Warnings fail too");
  check.AddOption("--ignore", options->ignore, "Warnings that are not to be told").ValueName("W...").Separator(',');
  check.AddFlag("--ids", options->ids, "List all ids: what each means, and what to write instead");
  check.Footer(
      "E... is an error: the policy does not load, or is refused here because it can't be meant.\n"
      "W... is a warning: the policy loads, but see whether it is what you want.\n\n"
      "  bulkhead policy check policy/                      all policies and tests below a folder\n"
      "  bulkhead policy check policy/ --strict --ignore W042    as a gate in CI\n"
      "  bulkhead policy check policy/ -o sarif > check.sarif    for code scanning\n\n"
      "Exit codes: 0 no errors; 2 a file can't be read; 3 errors, or with --strict warnings.");
  check.OnGiven([&action, options] { action = [options] { return Check(*options); }; });
}

}  // namespace bulkhead::cli

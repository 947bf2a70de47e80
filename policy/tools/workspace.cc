#include "policy/tools/workspace.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "runner/base/files.h"
#include "runner/base/io.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy::tools {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMostDocumentBytes = 4U << 20U;

bool HasTest(std::string_view text, const std::string& file) {
  const auto documents = ParseYaml(text, file);
  return documents.ok() && std::any_of(documents.value().begin(), documents.value().end(), IsTestDocument);
}

class Opener {
 public:
  explicit Opener(const WorkspaceOptions& options) : options_(options) {}

  Status Open(const std::string& file) {
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(file, error);
    if (!seen_.insert(error ? file : canonical.string()).second) return OkStatus();
    BULKHEAD_ASSIGN(std::string text, ReadFile(file, kMostDocumentBytes));
    Diagnostics diagnostics(file);
    std::vector<std::string> named;
    if (HasTest(text, file)) {
      if (options_.with_tests) ReadTest(text, file, diagnostics, named);
    } else {
      std::vector<Policy> policies = ReadPolicies(text, diagnostics);
      Unique(policies, diagnostics);
      if (!diagnostics.HasErrors()) {
        for (Policy& policy : policies) space_.policies.push_back(std::move(policy));
      }
    }
    std::vector<Diagnostic> list = diagnostics.list();
    std::stable_sort(list.begin(), list.end(), [](const Diagnostic& a, const Diagnostic& b) {
      return a.at.line != b.at.line ? a.at.line < b.at.line : a.at.column < b.at.column;
    });
    space_.diagnostics.insert(space_.diagnostics.end(), list.begin(), list.end());
    space_.sources.emplace(file, std::move(text));
    for (const std::string& policy : named) BULKHEAD_TRY(Open(policy));
    return OkStatus();
  }

  Workspace Take() { return std::move(space_); }

 private:
  void ReadTest(std::string_view text, const std::string& file, Diagnostics& diagnostics,
                std::vector<std::string>& named) {
    auto test = ReadTestFile(text, file, diagnostics);
    if (!test.has_value()) return;
    if (options_.with_policies_of_tests) named = test->policies;
    space_.tests.push_back(std::move(*test));
  }

  // Audit records tell policies apart by their names.
  void Unique(const std::vector<Policy>& policies, Diagnostics& diagnostics) {
    for (const Policy& policy : policies) {
      const auto taken = std::find_if(space_.policies.begin(), space_.policies.end(),
                                      [&](const Policy& other) { return other.name == policy.name; });
      if (taken == space_.policies.end()) continue;
      Diagnostic diagnostic;
      diagnostic.id = "E090";
      diagnostic.at = policy.name_at.line != 0 ? policy.name_at : policy.at;
      diagnostic.message = "a policy named \"" + policy.name + "\" is also at " + taken->Place() +
                           "; audit records tell policies apart by their names";
      diagnostics.Add(std::move(diagnostic));
    }
  }

  const WorkspaceOptions options_;
  std::set<std::string> seen_;
  Workspace space_;
};

}  // namespace

Result<std::vector<std::string>> YamlFiles(const std::vector<std::string>& paths) {
  return ExpandFolders(paths, {".yaml", ".yml"}, Depth::kTree);
}

bool Workspace::HasErrors() const {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& one) { return one.severity == Severity::kError; });
}

Result<Workspace> OpenWorkspace(const std::vector<std::string>& paths, const WorkspaceOptions& options) {
  BULKHEAD_ASSIGN(const std::vector<std::string> files, YamlFiles(paths));
  Opener opener(options);
  for (const std::string& file : files) BULKHEAD_TRY(opener.Open(file));
  return opener.Take();
}

Result<CallContext> ReadContextFile(const std::string& path, const std::string& case_name) {
  BULKHEAD_ASSIGN(const std::string text, ReadFile(path, kMostDocumentBytes));
  Diagnostics diagnostics(path);
  if (HasTest(text, path)) {
    const auto test = ReadTestFile(text, path, diagnostics);
    BULKHEAD_TRY(diagnostics.ToStatus());
    std::vector<std::string_view> names;
    for (const TestCase& one : test->cases) {
      if (one.name == case_name || case_name.empty()) return one.context;
      names.push_back(one.name);
    }
    return Error(Code::kInvalidInput,
                 path + ": has no case \"" + EscapeForTerminal(case_name) + "\"" + DidYouMean(case_name, names));
  }
  BULKHEAD_ASSIGN(const std::vector<Value> documents, ParseYaml(text, path));
  CallContext context;
  if (documents.size() != 1) return Error(Code::kInvalidInput, path + ": a context is one mapping");
  ReadCallContext(documents[0], context, diagnostics);
  BULKHEAD_TRY(diagnostics.ToStatus());
  return context;
}

}  // namespace bulkhead::policy::tools

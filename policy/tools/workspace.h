// The files that a tool was given: policies and tests, read in one pass, with all that is wrong with them.
#pragma once

#include <string>
#include <vector>

#include "policy/policy.h"
#include "policy/tools/diagnostic_report.h"
#include "policy/tools/test_file.h"
#include "runner/base/result.h"

namespace bulkhead::policy::tools {

struct Workspace {
  std::vector<Policy> policies;
  std::vector<TestFile> tests;
  std::vector<Diagnostic> diagnostics;  // of the loader, in the order of files and places
  Sources sources;

  bool HasErrors() const;
};

struct WorkspaceOptions {
  bool with_tests = true;              // false: test files are skipped
  bool with_policies_of_tests = true;  // also reads the policies that the tests name
};

// Files, or folders (and the folders in them) of *.yaml and *.yml. What a document is, its `kind` says. The error
// names a path that can't be read.
Result<Workspace> OpenWorkspace(const std::vector<std::string>& paths, const WorkspaceOptions& options = {});

// The files themselves: as ExpandFolders has it, with the *.yaml and *.yml of whole trees.
Result<std::vector<std::string>> YamlFiles(const std::vector<std::string>& paths);

// Makes a context of a file: a mapping as in a test file's `context`, or a test file, of which the context of the case
// `case_name` is taken (empty: its first case).
Result<CallContext> ReadContextFile(const std::string& path, const std::string& case_name);

}  // namespace bulkhead::policy::tools

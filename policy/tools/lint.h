// What a policy that loads may still have wrong: see lint_ids.h, DecidedBy::kCheck.
#pragma once

#include <span>
#include <vector>

#include "policy/diagnostic.h"
#include "policy/rules.h"
#include "policy/tools/test_file.h"

namespace bulkhead::policy::tools {

// Pure. `policies`: all that are loaded together; `now`: seconds since 1970.
std::vector<Diagnostic> Lint(std::span<const Policy> policies, int64_t now);

// The lints of test files (W070, W073, W074, W081) over the policies that are known.
std::vector<Diagnostic> LintTests(std::span<const Policy> policies, std::span<const TestFile> tests);

// Whether some text is matched by both ('*' stands for any run of characters).
bool GlobsMeet(std::string_view a, std::string_view b);

// --- the parts of Lint ----------------------------------------------------------------------------

class LintSink {
 public:
  explicit LintSink(std::vector<Diagnostic>& out) : out_(out) {}
  // Severity follows from the id.
  void Add(const Policy& policy, std::string_view id, Position at, std::string message, size_t length = 0);

 private:
  std::vector<Diagnostic>& out_;
};

void LintRules(const Policy& policy, LintSink& sink);
void LintMatch(std::span<const Policy> policies, int64_t now, LintSink& sink);

}  // namespace bulkhead::policy::tools

// What a policy that loads may still have wrong: see lint_ids.h, DecidedBy::kCheck.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/diagnostic.h"
#include "policy/rules.h"
#include "policy/tools/templates.h"
#include "policy/tools/test_file.h"

namespace bulkhead::policy::tools {

// Pure. `policies`: all that are loaded together; `now`: seconds since 1970.
std::vector<Diagnostic> Lint(std::span<const Policy> policies, int64_t now);

// The lints of test files (W070, W073, W074, and by their templates W081 and E080) over the policies that are known.
std::vector<Diagnostic> LintTests(std::span<const Policy> policies, std::span<const TestFile> tests);

// W081 and E080 by the templates of workflows: what they declare and what the policies allow.
std::vector<Diagnostic> LintTemplates(std::span<const Policy> policies, std::span<const KnownTemplate> templates);

// W083: the leaves that rules could allow now and that are not among `reviewed`, paths of leaves as `policy schema
// --paths` lists them.
std::vector<Diagnostic> LintNewLeaves(std::span<const Policy> policies, const std::set<std::string>& reviewed);

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
void LintChecks(const Policy& policy, LintSink& sink);
void LintOutputs(const Policy& policy, LintSink& sink);
// E080 of outputs that no template which the policy can match declares; nothing when there is none. `whose`: "the
// workflows".
void LintDeclared(const Policy& policy, std::span<const KnownTemplate> templates, std::string_view whose,
                  LintSink& sink);
void LintMatch(std::span<const Policy> policies, int64_t now, LintSink& sink);

}  // namespace bulkhead::policy::tools

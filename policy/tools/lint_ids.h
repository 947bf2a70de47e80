// The ids of diagnostics: what each means, what to do, and who gives it.
#pragma once

#include <span>
#include <string_view>

namespace bulkhead::policy::tools {

enum class DecidedBy {
  kLoader,      // every reader of the file, the agent too
  kExpression,  // the compiler of expressions, when loading
  kCheck,       // `policy check` only: a policy with it still loads
  kTest,        // `policy test`
  kReplay,      // `policy replay`
};
std::string_view DecidedByName(DecidedBy by);  // "loader", "expressions", "check", ...

struct LintId {
  std::string_view id;  // E...: an error, W...: a warning
  DecidedBy by;
  std::string_view what;  // a sentence without its full stop
  std::string_view instead;
};

// Sorted by number.
std::span<const LintId> LintIds();
const LintId* FindLintId(std::string_view id);

}  // namespace bulkhead::policy::tools

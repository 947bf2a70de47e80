// bulkhead policy check: are these policies right, and if not, where.
#include "policy/policy.h"

#include <memory>

#include "runner/cli/command.h"
#include "runner/cli/print.h"
#include "runner/http/egress.h"

namespace bulkhead::cli {

namespace {

int Check(const std::vector<std::string>& paths) {
  auto policies = policy::LoadPolicies(paths);
  if (!policies.ok()) return Fail(policies.error());
  auto egress = http::LoadEgressPolicies(paths);
  if (!egress.ok()) return Fail(egress.error());
  std::vector<std::string> names = policies->Names();
  for (const std::string& name : egress->Names()) names.push_back(name);
  Print("ok: " + std::to_string(names.size()) + (names.size() == 1 ? " policy" : " policies") + "\n");
  for (const std::string& name : names) Print("  " + name + "\n");
  return kExitOk;
}

}  // namespace

void AddPolicy(CLI::App& app, Action& action) {
  CLI::App* const policy = app.add_subcommand("policy", "Work with mutation policies");
  policy->require_subcommand(1);
  CLI::App* const check =
      policy->add_subcommand("check", "Report every error of policy files, with file, line and column");
  const auto paths = std::make_shared<std::vector<std::string>>();
  check->add_option("FILE", *paths, "Policy files, or folders of them")->required();
  check->footer("Exit code 0 when all are right, 2 otherwise. The language: policy/README.md.");
  check->callback([&action, paths] { action = [paths] { return Check(*paths); }; });
}

}  // namespace bulkhead::cli

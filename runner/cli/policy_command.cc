#include "runner/cli/policy_command.h"

#include <unistd.h>

#include <chrono>

#include "policy/tools/corpus.h"
#include "runner/base/io.h"

namespace bulkhead::cli {

namespace {
constexpr size_t kMostReplyBytes = 64U << 20U;
}  // namespace

int64_t NowSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

int FailToRead(const Error& error) {
  static_cast<void>(Fail(error));
  return kExitUsage;
}

LoadedPolicies LoadForTool(const std::vector<std::string>& paths) {
  LoadedPolicies loaded;
  policy::tools::WorkspaceOptions options;
  options.with_tests = false;
  auto space = policy::tools::OpenWorkspace(paths, options);
  if (!space.ok()) {
    loaded.exit = FailToRead(space.error());
    return loaded;
  }
  loaded.sources = std::move(space->sources);
  Result<policy::PolicySet> set = Error(Code::kInvalidInput, "there is no policy in what was given");
  if (space->HasErrors()) {
    Print(policy::tools::RenderAll(space->diagnostics, loaded.sources, policy::tools::DiagnosticFormat::kPretty));
    loaded.exit = kExitPolicy;
    return loaded;
  }
  if (!space->policies.empty()) set = policy::PolicySet::FromPolicies(std::move(space->policies));
  if (!set.ok()) {
    static_cast<void>(Fail(set.error()));
    loaded.exit = kExitPolicy;
    return loaded;
  }
  loaded.set = std::move(*set);
  return loaded;
}

void AddContext(const Verb& verb, ContextOptions& options) {
  verb.AddOption("-c,--context", options.file,
                 "The call: a YAML file {plugin, rpc, workflow, template, node}, or a test file\n"
                 "(default: a call that the first policy matches, on a node in phase Running)")
      .ValueName("FILE");
  verb.AddOption("--case", options.case_name, "The case of the test file whose call is meant").ValueName("NAME");
}

Result<policy::tools::CallContext> MakeContext(const ContextOptions& options, const policy::PolicySet& policies) {
  if (!options.file.empty()) return policy::tools::ReadContextFile(options.file, options.case_name);
  auto targets = policy::tools::CorpusTargets(policies.policies());
  if (targets.empty()) return Error(Code::kInvalidInput, "no policy matches any call; give --context");
  return std::move(targets.front());
}

Result<std::string> ReadReply(const std::string& path) {
  return path == "-" ? ReadAll(STDIN_FILENO, kMostReplyBytes) : ReadFile(path, kMostReplyBytes);
}

}  // namespace bulkhead::cli

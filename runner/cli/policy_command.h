// What the commands of `bulkhead policy` share: exit codes, reading policies and contexts, the clock.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/tools/workspace.h"
#include "runner/cli/command.h"
#include "runner/cli/print.h"

namespace bulkhead::cli {

// Beside kExitOk (0), kExitFailed (1: a test failed, or the reply would be denied) and kExitUsage (2).
inline constexpr int kExitPolicy = 3;    // a policy or test file does not compile
inline constexpr int kExitBelowBar = 4;  // coverage or rule-kill is below what the tests ask for

void AddPolicyCheck(const Verb& policy, Action& action);
void AddPolicyFmt(const Verb& policy, Action& action);
void AddPolicyTest(const Verb& policy, Action& action);
void AddPolicyCorpus(const Verb& policy, Action& action);
void AddPolicyBench(const Verb& policy, Action& action);
void AddPolicyExplain(const Verb& policy, Action& action);
void AddPolicyWhyNot(const Verb& policy, Action& action);
void AddPolicyDiff(const Verb& policy, Action& action);
void AddPolicyReplay(const Verb& policy, Action& action);
void AddPolicyLearn(const Verb& policy, Action& action);
void AddPolicySchema(const Verb& policy, Action& action);
void AddPolicyProtected(const Verb& policy, Action& action);

// Seconds since 1970.
int64_t NowSeconds();

// As Fail, for what could not be read: exit code 2 whatever the reason.
int FailToRead(const Error& error);

// Policies that compile, or an exit code, with what is wrong printed already.
struct LoadedPolicies {
  std::optional<policy::PolicySet> set;
  policy::tools::Sources sources;
  int exit = kExitOk;
};
LoadedPolicies LoadForTool(const std::vector<std::string>& paths);

// The options by which explain, why-not and bench are told of the call.
struct ContextOptions {
  std::string file;
  std::string case_name;
};
void AddContext(const Verb& verb, ContextOptions& options);
// Without a file: a call that the first policy matches.
Result<policy::tools::CallContext> MakeContext(const ContextOptions& options, const policy::PolicySet& policies);

// A reply's bytes from a file, or from standard input for "-".
Result<std::string> ReadReply(const std::string& path);

}  // namespace bulkhead::cli

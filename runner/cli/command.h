// The verbs of the binary. Each file adds its verb, calls the libraries and prints;
// it holds no logic of its own.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "runner/base/result.h"
#include "runner/cli/verb.h"

namespace bulkhead::cli {

// Exit codes: 0 done, 1 a run that failed or something that does not verify, 2 usage or configuration.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// Set by the verb that was given; called once parsing is over.
using Action = std::function<int()>;

void AddAgent(const Verb& app, Action& action);
void AddRun(const Verb& app, Action& action);
void AddServe(const Verb& app, Action& action);
void AddDoctor(const Verb& app, Action& action);
void AddPolicy(const Verb& app, Action& action);
void AddAudit(const Verb& app, Action& action);
void AddPlugin(const Verb& app, Action& action);

// Called as `argoexec` with a verb other than `agent`: becomes the real argoexec, which is installed in a folder `argo`
// beside this program. Returns only when there is nothing to hand on, or the exit code when that failed.
std::optional<int> HandOnArgoexec(int argc, char** argv);

// "error: <line>" for each line of the message, escaped, on standard error; returns the exit code.
int Fail(const Error& error);

}  // namespace bulkhead::cli

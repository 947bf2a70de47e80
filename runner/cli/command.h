// The verbs of the binary. Each file registers its verb with CLI11, parses, calls the libraries and prints;
// it holds no logic of its own.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <string>

#include "runner/base/result.h"

namespace bulkhead::cli {

// Exit codes: 0 done, 1 a run that failed or something that does not verify, 2 usage or configuration.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// Set by the verb that was given; called once parsing is over.
using Action = std::function<int()>;

void AddRun(CLI::App& app, Action& action);
void AddServe(CLI::App& app, Action& action);
void AddDoctor(CLI::App& app, Action& action);
void AddPolicy(CLI::App& app, Action& action);
void AddAudit(CLI::App& app, Action& action);
void AddPlugin(CLI::App& app, Action& action);

// "error: <line>" for each line of the message, escaped, on standard error; returns the exit code.
int Fail(const Error& error);

}  // namespace bulkhead::cli

// bulkhead: argv to a verb to an exit code.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include "runner/base/text.h"
#include "runner/cli/command.h"
#include "runner/cli/print.h"

namespace bulkhead::cli {

namespace {

// Plugins may run under the agent's own user: nobody may read its memory or attach to it (prctl(2),
// PR_SET_DUMPABLE), and a crash must not write its secrets to disk.
void Harden() {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit none = {0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  // A reader that went away is an error of write(2), told by name.
  std::signal(SIGPIPE, SIG_IGN);
  // So is a file that may not grow any more: the audit log then says so, and nothing is applied.
  std::signal(SIGXFSZ, SIG_IGN);
}

// Descriptors 0, 1 and 2 must be taken, or a later open would become one of them.
bool StandardDescriptorsOpen() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  // Before anything that a program started by exec(2) would inherit.
  if (const auto code = HandOnArgoexec(argc, argv); code.has_value()) return *code;
  Harden();
  if (!StandardDescriptorsOpen()) return kExitUsage;
  CommandLine line(
      "bulkhead",
      "Bulkhead runs Argo Workflows executor plugins in sandboxes, calls them over mutual TLS, checks every\n"
      "change they return against a policy, masks secrets, and records each call in a verifiable audit log.",
      "bulkhead " BULKHEAD_VERSION);
  const Verb app = line.top();
  app.NeedsVerb();
  app.Footer(
      "Start with:\n"
      "  bulkhead doctor                                   which sandbox tier this place offers, and why\n"
      "  bulkhead run TASKS.yaml --plugins DIR --policy POLICY.yaml\n"
      "  bulkhead serve --plugins DIR --policy POLICY.yaml  answer Argo's plugin RPC for plugins in sandboxes\n"
      "  bulkhead audit verify audit.jsonl\n\n"
      "Exit codes: 0 success; 1 a task failed or was refused, or a log does not verify; 2 usage or configuration.");
  Action action;
  AddRun(app, action);
  AddAgent(app, action);
  AddServe(app, action);
  AddDoctor(app, action);
  AddPolicy(app, action);
  AddPlugin(app, action);
  AddAudit(app, action);
  if (const auto code = line.Parse(argc, argv); code.has_value()) return *code;
  return action ? action() : kExitUsage;
}

}  // namespace

int Fail(const Error& error) {
  for (const std::string& line : Split(error.message(), '\n')) {
    if (!line.empty()) PrintError("error: " + EscapeForTerminal(line));
  }
  return error.code() == Code::kInvalidInput ? kExitUsage : kExitFailed;
}

}  // namespace bulkhead::cli

int main(int argc, char** argv) {
  try {
    return bulkhead::cli::Main(argc, argv);
  } catch (const std::exception& error) {  // out of memory and the like: nothing was half-printed
    std::fprintf(stderr, "error: %s\n", error.what());
    return bulkhead::cli::kExitFailed;
  }
}

// bulkhead policy fmt: one layout for policy and test files.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "policy/tools/fmt.h"
#include "runner/base/io.h"
#include "runner/base/text.h"
#include "runner/cli/policy_command.h"

namespace bulkhead::cli {

namespace {

constexpr size_t kMostFileBytes = 4U << 20U;

// Through a new file beside it, so that a crash leaves the old one or the new one.
Status Replace(const std::string& path, std::string_view text) {
  std::error_code error;
  const std::string target = std::filesystem::canonical(path, error);
  if (error) return Error(Code::kNotFound, path + ": " + error.message());
  struct stat status = {};
  if (::stat(target.c_str(), &status) != 0) return ErrnoError(path, errno);
  const std::string temporary = target + ".fmt-" + std::to_string(::getpid());
  BULKHEAD_ASSIGN(UniqueFd file, OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, status.st_mode & 07777U));
  Status done = WriteAll(file.get(), text);
  if (done.ok() && ::fchmod(file.get(), status.st_mode & 07777U) != 0) done = ErrnoError(temporary, errno);
  if (done.ok() && ::rename(temporary.c_str(), target.c_str()) != 0) done = ErrnoError(path, errno);
  if (!done.ok()) ::unlink(temporary.c_str());
  return done;
}

int FormatFiles(const std::vector<std::string>& paths, bool check) {
  int exit = kExitOk;
  for (const std::string& path : paths) {
    const bool standard = path == "-";
    auto text = standard ? ReadAll(STDIN_FILENO, kMostFileBytes) : ReadFile(path, kMostFileBytes);
    if (!text.ok()) return FailToRead(text.error());
    auto formatted = policy::tools::Format(*text, standard ? "standard input" : path);
    if (!formatted.ok()) {
      static_cast<void>(Fail(formatted.error()));
      exit = kExitPolicy;
      continue;
    }
    if (standard && !check) {
      Print(*formatted);
      continue;
    }
    if (*formatted == *text) continue;
    if (check) {
      Print(EscapeForTerminal(path) + ": would be laid out anew\n");
      if (exit == kExitOk) exit = kExitFailed;
    } else {
      if (const Status replaced = Replace(path, *formatted); !replaced.ok()) return Fail(replaced.error());
      Print(EscapeForTerminal(path) + "\n");
    }
  }
  return exit;
}

}  // namespace

void AddPolicyFmt(const Verb& policy, Action& action) {
  const Verb fmt = policy.AddVerb("fmt", "Lay policy and test files out in the one way; comments stay");
  const auto paths = std::make_shared<std::vector<std::string>>();
  const auto check = std::make_shared<bool>(false);
  fmt.AddOption("FILE", *paths, "YAML files; - for standard input, which goes to standard output").Required();
  fmt.AddFlag("--check", *check, "Change nothing; name the files that would change");
  fmt.Footer(
      "A file is replaced only after a proof that the new text reads as the same document, holds the same\n"
      "comments, and would not change again. Names of changed files are printed.\n\n"
      "Exit codes: 0 done, or nothing to do; 1 with --check, a file would change; 2 a file can't be read; 3 a file is\n"
      "no strict YAML.");
  fmt.OnGiven([&action, paths, check] { action = [paths, check] { return FormatFiles(*paths, *check); }; });
}

}  // namespace bulkhead::cli

// Standing in for argoexec: only `agent` is answered here.
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "runner/base/text.h"
#include "runner/cli/command.h"
#include "runner/cli/print.h"

namespace bulkhead::cli {

namespace {

constexpr std::string_view kName = "argoexec";
constexpr std::string_view kReal = "argo";  // a folder beside this program

std::string FolderOfThisProgram() {
  std::string path(PATH_MAX, '\0');
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return "";
  path.resize(static_cast<size_t>(size));
  return path.substr(0, path.rfind('/'));
}

}  // namespace

std::optional<int> HandOnArgoexec(int argc, char** argv) {
  if (argc < 1) return std::nullopt;
  std::string_view called = argv[0];
  called.remove_prefix(called.rfind('/') == std::string_view::npos ? 0 : called.rfind('/') + 1);
  if (called != kName || (argc > 1 && std::string_view(argv[1]) == "agent")) return std::nullopt;
  const std::string folder = FolderOfThisProgram() + "/" + std::string(kReal);
  const std::string real = folder + "/" + std::string(kName);
  // Argo's own copies itself into pods by looking up its name in PATH (workflow/executor/emissary): it must find
  // itself.
  const char* const path = std::getenv("PATH");
  ::setenv("PATH", (folder + (path == nullptr ? "" : ":" + std::string(path))).c_str(), /*replace=*/1);
  ::execv(real.c_str(), argv);
  const int error = errno;
  PrintError("error: this argoexec is Bulkhead, which answers `argoexec agent init` and `argoexec agent main`; `" +
             EscapeForTerminal(argc > 1 ? argv[1] : "") + "` is for Argo's own, and " + real +
             (error == ENOENT ? " is not there; install it in that folder"
                              : std::string(" cannot be started: ") + std::strerror(error)));
  return kExitUsage;
}

}  // namespace bulkhead::cli

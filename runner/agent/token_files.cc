#include "runner/agent/token_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "runner/base/io.h"
#include "runner/base/text.h"

namespace bulkhead::agent {

namespace {

constexpr size_t kTokenLength = 32;
constexpr size_t kMostToken = 4096;
constexpr mode_t kFolderMode = 0770;
constexpr mode_t kFileMode = 0440;

// A container's name (RFC 1123 label), so that it cannot lead elsewhere.
Status CheckName(const std::string& name) {
  const bool good = !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (good) return OkStatus();
  return Error(Code::kInvalidInput, "\"" + EscapeForTerminal(name) + "\" is no container's name");
}

}  // namespace

Status MakeTokenFiles(const std::string& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    BULKHEAD_TRY(CheckName(name));
    const std::string place = folder + "/" + name;
    if (::mkdir(place.c_str(), kFolderMode) != 0 && errno != EEXIST) return ErrnoError(place, errno);
    // The umask must not decide.
    if (::chmod(place.c_str(), kFolderMode) != 0) return ErrnoError(place, errno);
    const std::string made = place + "/token.new";
    ::unlink(made.c_str());
    {
      BULKHEAD_ASSIGN(const UniqueFd file, OpenFile(made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kFileMode));
      if (::fchmod(file.get(), kFileMode) != 0) return ErrnoError(made, errno);
      const Secret token = RandomToken(kTokenLength);
      BULKHEAD_TRY(WriteAll(file.get(), token.Reveal()));
    }
    if (::rename(made.c_str(), (place + "/token").c_str()) != 0) return ErrnoError(made, errno);
  }
  return OkStatus();
}

Result<Secret> ReadTokenFile(const std::string& folder, const std::string& name) {
  BULKHEAD_TRY(CheckName(name));
  BULKHEAD_ASSIGN(std::string text, ReadFile(folder + "/" + name + "/token", kMostToken));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const bool good = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (!good) return Error(Code::kInvalidInput, folder + "/" + name + "/token: no token that a header can hold");
  return Secret(std::move(text));
}

}  // namespace bulkhead::agent

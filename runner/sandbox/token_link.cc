#include "runner/sandbox/token_link.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runner/base/io.h"
#include "runner/sandbox/protocol.h"

namespace bulkhead::sandbox {

namespace {

std::string Target() {
  return "/proc/self/fd/" + std::to_string(kTokenFd);
}

Error CannotMake(const std::string& path, int error_number) {
  return ErrnoError("tier restricted hands plugins their token at " + path +
                        ", which can't be made; give the agent a writable " + path.substr(0, path.rfind('/')) +
                        " (an emptyDir volume)",
                    error_number);
}

bool IsOurs(const std::string& path) {
  char target[64] = {};
  const ssize_t size = ::readlink(path.c_str(), target, sizeof target - 1);
  return size > 0 && Target() == target;
}

}  // namespace

Result<std::unique_ptr<TokenLink>> TokenLink::Create(const std::string& folder) {
  const std::string path = folder + "/token";
  const bool made_folder = ::mkdir(folder.c_str(), 0755) == 0;
  auto lock = OpenFile(folder, O_RDONLY | O_DIRECTORY);
  if (!lock.ok()) return CannotMake(path, ENOENT);
  if (::flock(lock->get(), LOCK_SH) != 0) return ErrnoError("flock " + folder, errno);
  if (::symlink(Target().c_str(), path.c_str()) != 0 && !(errno == EEXIST && IsOurs(path)))
    return CannotMake(path, errno);
  return std::unique_ptr<TokenLink>(new TokenLink(folder, std::move(*lock), made_folder));
}

TokenLink::~TokenLink() {
  const std::string path = folder_ + "/token";
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 || !IsOurs(path)) return;
  ::unlink(path.c_str());
  if (made_folder_) ::rmdir(folder_.c_str());
}

}  // namespace bulkhead::sandbox

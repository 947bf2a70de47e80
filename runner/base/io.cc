#include "runner/base/io.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace bulkhead {

Result<UniqueFd> OpenFile(const std::string& path, int flags, unsigned mode) {
  for (;;) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return UniqueFd(fd);
    if (errno != EINTR) return ErrnoError(path, errno);
  }
}

Result<std::string> ReadAll(int fd, size_t limit) {
  std::string bytes;
  std::array<char, 64UL * 1024> buffer;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      return ErrnoError("read", errno);
    }
    if (got == 0) return bytes;
    if (bytes.size() + static_cast<size_t>(got) > limit) {
      return Error(Code::kResourceExhausted, "larger than the limit of " + std::to_string(limit) + " bytes");
    }
    bytes.append(buffer.data(), static_cast<size_t>(got));
  }
}

Result<std::string> ReadFile(const std::string& path, size_t limit) {
  BULKHEAD_ASSIGN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_NOCTTY));
  auto bytes = ReadAll(fd.get(), limit);
  if (!bytes.ok()) return bytes.error().WithContext(path);
  return bytes;
}

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      return ErrnoError("write", errno);
    }
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return OkStatus();
}

Result<UniqueFd> SealedMemory(const char* name, std::string_view bytes) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return ErrnoError("memfd_create", errno);
  BULKHEAD_TRY(WriteAll(fd.get(), bytes));
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return ErrnoError("lseek", errno);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
    return ErrnoError("fcntl(F_ADD_SEALS)", errno);
  }
  return fd;
}

Result<TempDir> TempDir::Create(std::string_view prefix, const std::string& parent) {
  const char* base = std::getenv("TMPDIR");
  std::string path = !parent.empty() ? parent : (base != nullptr && *base == '/') ? base : "/tmp";
  path += "/";
  path += prefix;
  path += "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return ErrnoError("mkdtemp " + path, errno);
  return TempDir(std::move(path));
}

TempDir::TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TempDir& TempDir::operator=(TempDir&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TempDir::~TempDir() {
  if (path_.empty()) return;
  std::error_code ignored;  // nobody is left to tell; the folder is private and under the temporary folder
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace bulkhead

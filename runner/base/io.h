// Whole-file reading and writing with EINTR and short counts handled. All descriptors are born CLOEXEC.
#pragma once

#include <string>
#include <string_view>

#include "runner/base/result.h"
#include "runner/base/unique_fd.h"

namespace bulkhead {

// open(2) with O_CLOEXEC; the error names the path.
Result<UniqueFd> OpenFile(const std::string& path, int flags, unsigned mode = 0600);

// The file's bytes; an error naming the limit when it holds more than `limit`.
Result<std::string> ReadFile(const std::string& path, size_t limit);
Result<std::string> ReadAll(int fd, size_t limit);

// Writes all of `bytes` to a blocking descriptor.
Status WriteAll(int fd, std::string_view bytes);

// An anonymous file (memfd_create(2)) with these bytes, sealed against every change, at offset 0.
Result<UniqueFd> SealedMemory(const char* name, std::string_view bytes);

// A private folder (mode 0700) under `parent`, or under $TMPDIR or /tmp when that is empty, removed with all it holds
// when destroyed.
class TempDir {
 public:
  static Result<TempDir> Create(std::string_view prefix, const std::string& parent = {});
  TempDir(TempDir&&) noexcept;
  TempDir& operator=(TempDir&&) noexcept;
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();
  const std::string& path() const { return path_; }

 private:
  explicit TempDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace bulkhead

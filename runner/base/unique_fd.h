// UniqueFd: sole owner of a file descriptor. Not thread-safe.
#pragma once

#include <unistd.h>

#include <utility>

namespace bulkhead {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  // The descriptor, still owned by this object; -1 when there is none.
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // No conversion to bool: descriptor 0 is a descriptor.
  explicit operator bool() const = delete;

  // Gives the descriptor up to the caller.
  int Release() { return std::exchange(fd_, -1); }

  // Closes what is owned. close() is not retried after EINTR: Linux has freed the number by then
  // (close(2), NOTES), and a second close could hit another thread's new descriptor.
  void Reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace bulkhead

#include "runner/cli/progress.h"

#include <unistd.h>

#include <string>

#include "runner/base/io.h"
#include "runner/cli/print.h"

namespace bulkhead::cli {

namespace {
// More updates than this would only slow a large run down.
constexpr size_t kMostUpdates = 200;
constexpr std::string_view kClearLine = "\r\x1b[K";
}  // namespace

Progress::Progress(size_t total) : total_(total), shown_(IsTerminal(STDERR_FILENO)) {}

void Progress::Saw(const agent::TaskReport& report) {
  const std::lock_guard lock(mutex_);
  if (report.final) ++final_;
  if (!shown_ || (final_ != total_ && final_ * kMostUpdates < printed_ * total_)) return;
  ++printed_;
  const std::string line =
      std::string(kClearLine) + std::to_string(final_) + "/" + std::to_string(total_) + " tasks done";
  static_cast<void>(WriteAll(STDERR_FILENO, line).ok());
}

void Progress::Done() {
  const std::lock_guard lock(mutex_);
  if (printed_ == 0) return;
  printed_ = 0;
  static_cast<void>(WriteAll(STDERR_FILENO, kClearLine).ok());
}

}  // namespace bulkhead::cli

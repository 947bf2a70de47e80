// OutputLog: what a plugin prints, redacted and cut into lines, on its way to the log.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "runner/base/log.h"
#include "runner/redact/redactor.h"
#include "runner/sandbox/launcher.h"

namespace bulkhead::agent {

// Thread-safe. Keeps only the last few lines; a line is cut at kLongestLine.
class OutputLog {
 public:
  static constexpr size_t kLongestLine = 4096;

  OutputLog(std::string plugin, const std::shared_ptr<const redact::Redactor>& redactor, const Logger* log,
            LogLevel level);
  ~OutputLog();

  void Write(sandbox::Stream stream, std::string_view bytes);
  // The last lines of both streams, joined with " | ", at most 1 KiB; what is still held back for
  // redaction is included, redacted.
  std::string LastLines();

 private:
  struct Lines {
    redact::StreamRedactor redactor;
    std::string partial;
    bool finished = false;
  };
  void Emit(sandbox::Stream stream, Lines& lines, std::string_view safe);
  void EmitLine(sandbox::Stream stream, std::string_view line);

  const std::string plugin_;
  const Logger* const log_;
  const LogLevel level_;
  std::mutex mutex_;
  std::array<Lines, 2> streams_;
  std::deque<std::string> last_;
};

}  // namespace bulkhead::agent

// Structured logging to standard error. Fields are escaped for terminals; secrets must have been
// redacted by the caller (agent code logs through a Redactor). Thread-safe: one line is one write(2).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace bulkhead {

enum class LogLevel { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };

using LogField = std::pair<std::string_view, std::string>;

class Logger {
 public:
  Logger(LogLevel least, LogFormat format, int fd = 2) : least_(least), format_(format), fd_(fd) {}
  void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {}) const;
  bool Enabled(LogLevel level) const { return level >= least_; }

 private:
  LogLevel least_;
  LogFormat format_;
  int fd_;
};

}  // namespace bulkhead

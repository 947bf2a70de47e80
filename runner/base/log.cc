#include "runner/base/log.h"

#include <unistd.h>

#include <cerrno>

#include "runner/base/clock.h"
#include "runner/base/text.h"
#include "runner/base/value.h"

namespace bulkhead {
namespace {

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "error";
}

std::string TextLine(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  std::string line = "time=" + FormatTimestamp(std::chrono::system_clock::now());
  line += " level=";
  line += LevelName(level);
  line += " msg=";
  AppendJsonString(EscapeForTerminal(message), line);
  for (const auto& [key, value] : fields) {
    line += ' ';
    line += key;
    line += '=';
    AppendJsonString(EscapeForTerminal(value), line);
  }
  return line;
}

std::string JsonLine(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  Value object = Value::Object();
  object.Set("time", Value::String(FormatTimestamp(std::chrono::system_clock::now())));
  object.Set("level", Value::String(std::string(LevelName(level))));
  object.Set("msg", Value::String(EscapeForTerminal(message)));
  for (const auto& [key, value] : fields) object.Set(key, Value::String(EscapeForTerminal(value)));
  return ToJson(object);
}

}  // namespace

void Logger::Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) const {
  if (!Enabled(level)) return;
  std::string line = format_ == LogFormat::kText ? TextLine(level, message, fields) : JsonLine(level, message, fields);
  line += '\n';
  // A log line that can't be written has nowhere else to go; the audit log is what must not be lost.
  while (::write(fd_, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

}  // namespace bulkhead

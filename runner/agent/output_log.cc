#include "runner/agent/output_log.h"

#include <utility>

#include "runner/base/text.h"

namespace bulkhead::agent {

namespace {
constexpr size_t kLinesKept = 8;
constexpr size_t kLastBytes = 1024;
}  // namespace

OutputLog::OutputLog(std::string plugin, const std::shared_ptr<const redact::Redactor>& redactor, const Logger* log,
                     LogLevel level)
    : plugin_(std::move(plugin)),
      log_(log),
      level_(level),
      streams_{Lines{redact::StreamRedactor(redactor), {}}, Lines{redact::StreamRedactor(redactor), {}}} {}

OutputLog::~OutputLog() {
  LastLines();
}

void OutputLog::Write(sandbox::Stream stream, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  Lines& lines = streams_[stream == sandbox::Stream::kStdout ? 0 : 1];
  if (lines.finished) return;
  std::string safe;
  lines.redactor.Write(bytes, safe);
  Emit(stream, lines, safe);
}

std::string OutputLog::LastLines() {
  const std::lock_guard lock(mutex_);
  for (const sandbox::Stream stream : {sandbox::Stream::kStdout, sandbox::Stream::kStderr}) {
    Lines& lines = streams_[stream == sandbox::Stream::kStdout ? 0 : 1];
    if (std::exchange(lines.finished, true)) continue;
    std::string rest;
    lines.redactor.Finish(rest);
    Emit(stream, lines, rest);
    if (!lines.partial.empty()) EmitLine(stream, std::exchange(lines.partial, {}));
  }
  std::string joined;
  for (const std::string& line : last_) {
    if (!joined.empty()) joined += " | ";
    joined += line;
  }
  if (joined.size() > kLastBytes) joined.erase(0, joined.size() - kLastBytes);
  return joined;
}

void OutputLog::Emit(sandbox::Stream stream, Lines& lines, std::string_view safe) {
  while (!safe.empty()) {
    const size_t end = safe.find('\n');
    const size_t room = kLongestLine - lines.partial.size();
    if (end == std::string_view::npos || end > room) {
      const size_t taken = std::min(room, safe.size());
      lines.partial.append(safe.substr(0, taken));
      safe.remove_prefix(taken);
      if (lines.partial.size() < kLongestLine) return;
    } else {
      lines.partial.append(safe.substr(0, end));
      safe.remove_prefix(end + 1);
    }
    EmitLine(stream, std::exchange(lines.partial, {}));
  }
}

void OutputLog::EmitLine(sandbox::Stream stream, std::string_view line) {
  log_->Log(level_, "plugin output",
            {{"plugin", plugin_},
             {"stream", stream == sandbox::Stream::kStdout ? "stdout" : "stderr"},
             {"line", std::string(line)}});
  last_.emplace_back(EscapeForTerminal(line));
  if (last_.size() > kLinesKept) last_.pop_front();
}

}  // namespace bulkhead::agent

#include "policy/tools/call_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "runner/base/io.h"
#include "runner/base/json.h"

namespace bulkhead::policy::tools {

namespace {

std::string TextOf(const Value& record, std::string_view key) {
  const Value* const member = record.Find(key);
  return member != nullptr && member->is_string() ? member->text : std::string();
}

bool IsTrue(const Value& record, std::string_view key) {
  const Value* const member = record.Find(key);
  return member != nullptr && member->is_bool() && member->boolean;
}

std::optional<Op> OpOf(std::string_view name) {
  for (const Op op : {Op::kAdd, Op::kChange, Op::kRemove}) {
    if (OpName(op) == name) return op;
  }
  return std::nullopt;
}

std::optional<uint64_t> CountOf(const Value& record, std::string_view key) {
  const Value* const member = record.Find(key);
  uint64_t count = 0;
  if (member == nullptr || !member->is_number() ||
      std::from_chars(member->text.data(), member->text.data() + member->text.size(), count).ptr !=
          member->text.data() + member->text.size())
    return std::nullopt;
  return count;
}

// A record has a value as JSON in a string. What is none, as a value that was masked may be, is not known.
std::optional<std::string> ScalarText(std::string_view json) {
  JsonLimits limits;
  limits.bytes = kMostLogLine;
  const JsonParse parsed = ParseJson(json, limits);
  if (!parsed.ok) return std::nullopt;
  if (parsed.value.is_string() || parsed.value.is_number()) return parsed.value.text;
  if (parsed.value.is_bool()) return parsed.value.boolean ? "true" : "false";
  return std::nullopt;
}

LoggedChange ReadChange(const Value& verdict) {
  LoggedChange change;
  change.op = OpOf(TextOf(verdict, "op")).value_or(Op::kAdd);
  change.allowed = IsTrue(verdict, "allowed");
  change.advice = IsTrue(verdict, "advice");
  change.path = TextOf(verdict, "path");
  change.policy = TextOf(verdict, "policy");
  change.rule = TextOf(verdict, "rule");
  change.place = TextOf(verdict, "place");
  // A refusal without a path is of the whole reply in logs that do not say so.
  change.whole = IsTrue(verdict, "whole") || change.path.empty();
  change.value = ScalarText(TextOf(verdict, "value"));
  return change;
}

// Splits what is read into lines; of a line that is too long nothing is kept.
class LineSplitter {
 public:
  template <typename Visit>
  void Feed(std::string_view bytes, const Visit& visit) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      if (!too_long_) line_ += part;
      if (line_.size() > kMostLogLine) {
        too_long_ = true;
        line_.clear();
      }
      if (end == std::string_view::npos) return;
      Flush(visit);
      bytes.remove_prefix(end + 1);
    }
  }

  template <typename Visit>
  void Flush(const Visit& visit) {
    if (too_long_ || !line_.empty()) visit(std::string_view(line_), too_long_);
    line_.clear();
    too_long_ = false;
  }

 private:
  std::string line_;
  bool too_long_ = false;
};

}  // namespace

std::optional<LoggedCall> ReadCallRecord(std::string_view line, bool& readable) {
  JsonLimits limits;
  limits.bytes = kMostLogLine;
  const JsonParse parsed = ParseJson(line, limits);
  readable = parsed.ok && parsed.value.is_object();
  if (!readable || TextOf(parsed.value, "event") != "call") return std::nullopt;
  const Value& record = parsed.value;
  LoggedCall call;
  call.time = TextOf(record, "time");
  call.workflow = TextOf(record, "workflow");
  call.name_space = TextOf(record, "namespace");
  call.uid = TextOf(record, "uid");
  call.node = TextOf(record, "node");
  call.template_name = TextOf(record, "template");
  call.plugin = TextOf(record, "plugin");
  call.method = TextOf(record, "method");
  call.applied = IsTrue(record, "applied");
  if (const auto bytes = CountOf(record, "replyBytes")) call.reply_bytes = *bytes;
  call.masked = CountOf(record, "masked").value_or(0) > 0;
  if (const Value* verdicts = record.Find("verdicts"); verdicts != nullptr && verdicts->is_array()) {
    for (const Value& verdict : verdicts->items) call.changes.push_back(ReadChange(verdict));
  }
  const std::string phase = TextOf(record, "phase");
  for (LoggedChange& change : call.changes) {
    // What the node became is in the record anyway.
    if (call.masked) change.value.reset();
    if (call.applied && change.allowed && change.path == "node.phase" && !change.value.has_value() && !phase.empty())
      change.value = phase;
  }
  return call;
}

Result<CallLogStats> ReadCallLog(const std::string& path, const std::function<void(const LoggedCall&)>& visit) {
  BULKHEAD_ASSIGN(const UniqueFd file, OpenFile(path, O_RDONLY));
  CallLogStats stats;
  LineSplitter splitter;
  const auto take = [&](std::string_view line, bool too_long) {
    ++stats.lines;
    bool readable = false;
    const auto call = too_long ? std::nullopt : ReadCallRecord(line, readable);
    if (!readable) ++stats.unreadable;
    if (!call.has_value()) return;
    ++stats.calls;
    if (stats.first_time.empty() || call->time < stats.first_time) stats.first_time = call->time;
    stats.last_time = std::max(stats.last_time, call->time);
    visit(*call);
  };
  std::array<char, size_t{64}* 1024> buffer = {};
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoError(path, errno);
    if (count == 0) break;
    splitter.Feed({buffer.data(), static_cast<size_t>(count)}, take);
    if (stats.lines > kMostLogLines)
      return Error(Code::kResourceExhausted,
                   path + ": has more than " + std::to_string(kMostLogLines) + " lines; split it and replay the parts");
  }
  splitter.Flush(take);
  return stats;
}

}  // namespace bulkhead::policy::tools

// The calls of an audit log (runner/audit/FORMAT.md), as far as policies are concerned. What a log holds of plugins
// is hostile: paths and names are kept as data, and sizes are bounded.
//
// Whether the log is whole is not looked at: `bulkhead audit verify` does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "policy/policy.h"
#include "runner/base/result.h"

namespace bulkhead::policy::tools {

struct LoggedChange {
  Op op = Op::kAdd;
  bool whole = false;  // no change, but a refusal (or advice) of the reply as a whole
  bool allowed = false;
  bool advice = false;
  std::string path;
  std::string policy, rule, place;
  std::optional<std::string> value;  // as text, when it is known: where a rule had `log: value`, and for node.phase
};

struct LoggedCall {
  std::string time;  // RFC 3339
  std::string workflow, name_space, uid, node, template_name;
  std::string plugin, method;
  std::optional<uint64_t> reply_bytes;
  bool masked = false;  // secrets were masked: values are not what the policy saw
  bool applied = false;
  std::vector<LoggedChange> changes;
};

struct CallLogStats {
  uint64_t lines = 0;
  uint64_t calls = 0;
  uint64_t unreadable = 0;  // lines that are no record, or longer than the bound
  std::string first_time, last_time;
};

constexpr size_t kMostLogLine = 1U << 20U;
constexpr uint64_t kMostLogLines = 10'000'000;

// Gives each call to `visit`, in the order of the log; what is no call is skipped. An error when the file can't be
// read or has more than kMostLogLines lines.
Result<CallLogStats> ReadCallLog(const std::string& path, const std::function<void(const LoggedCall&)>& visit);

// One line; nullopt when it is no call. `readable` is false when it is no record at all.
std::optional<LoggedCall> ReadCallRecord(std::string_view line, bool& readable);

}  // namespace bulkhead::policy::tools

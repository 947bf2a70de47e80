// One `bulkhead run`, wired: the only place where the concrete objects of the agent are made.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runner/agent/agent.h"
#include "runner/base/result.h"
#include "runner/base/value.h"
#include "runner/cli/prepare.h"

namespace bulkhead::cli {

struct SessionOptions {
  std::vector<std::string> inputs;
  std::vector<std::string> plugins;
  std::vector<std::string> policies;
  std::string audit = "bulkhead-audit.jsonl";
  std::optional<sandbox::Tier> tier;  // nullopt: auto
  RootFolders rootfs;                 // by plugin name
  std::vector<std::string> secret_files;
  std::optional<std::chrono::nanoseconds> timeout;
  std::chrono::nanoseconds start_timeout = std::chrono::seconds(20);
  size_t workers = 16;
  std::string metrics;  // empty: none
  bool verbose = false;
};

struct SessionReport {
  std::vector<agent::TaskReport> tasks;
  Value status;  // WorkflowTaskSet(s) with status
  agent::RunOutcome outcome;
  std::string audit;
  uint64_t audit_records = 0;
  std::string audit_head;
  bool audit_verified = false;
  std::string audit_reason;  // when it does not verify

  bool AllSucceeded() const;
};

// kInvalidInput before anything was started; any other error is a run that could not be made.
Result<SessionReport> RunSession(const SessionOptions& options);

void PrintSummary(const SessionReport& report);

}  // namespace bulkhead::cli

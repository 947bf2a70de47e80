// AuditLog: the hash-chained record of every call and refusal; durable before a result leaves.
//
// One JSON object a line; FORMAT.md states the schema and the chain. Append queues a record; one
// writer thread takes all that wait, writes them with one write(2), makes them durable with one
// fdatasync(2), and only then tells each caller. After the first failed write or sync the state of
// the file is unknown (fsync(2), NOTES), so every later Append fails as well: the log is closed for
// good and the agent stops.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::audit {

// What kind of thing is recorded. Values are part of the format.
enum class Event {
  kAgentStart,
  kAgentStop,
  kPluginStart,
  kPluginExit,
  kCall,
  kHttp,
  kRefusal,
  kTierRefused,
  kTaskRecovered,
  kPolicyReload,
  kCallerRefused,
  kLogRepaired,
};
std::string_view EventName(Event event);  // "agent.start", "plugin.exit", "call", ...

// `fields` is a JSON object (already redacted) whose keys FORMAT.md lists for the event; the log adds
// "seq", "time", "event", "prev" and "hash".
struct Record {
  Event event = Event::kCall;
  Value fields;
};

class AuditLog {
 public:
  using Done = std::function<void(Status)>;

  // Opens or creates the file (mode 0600) and takes an exclusive flock(2) on it. An existing file is verified
  // first and continued; a last line that was torn by a crash is cut off and the cut is itself
  // recorded; any other damage is kCorrupt and nothing is written.
  static Result<std::unique_ptr<AuditLog>> Open(const std::string& path, const Clock& clock);
  virtual ~AuditLog() = default;  // waits for what is queued, then closes

  // Thread-safe. Calls `done` exactly once, on the writer thread, in the order of the log; it must be
  // quick and must not call Append synchronously with waiting. Blocks only while more than 4096
  // records wait.
  virtual void Append(Record record, Done done) = 0;
  // Append and wait.
  virtual Status AppendSync(Record record) = 0;
  virtual bool failed() const = 0;
};

struct VerifyReport {
  bool ok = false;
  uint64_t records = 0;
  std::string first_time, last_time, head;  // head: hash of the last record, for anchoring elsewhere
  // When !ok: the 1-based line of the first fault and what it is.
  uint64_t bad_line = 0;
  std::string reason;
  bool torn_tail = false;  // the only fault is an incomplete last line
};

// Reads a log of any size in constant memory. An error only when the file cannot be read at all.
Result<VerifyReport> Verify(const std::string& path);

}  // namespace bulkhead::audit

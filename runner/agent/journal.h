// Journal: what an agent has to know after it was killed at any instant, so that no result that was had is lost and
// no task runs that has one.
//
// An append-only file in a folder that outlives the agent's process; JOURNAL_FORMAT.md states the format. A record
// is written before what it tells of goes on: a call's start before the plugin is called, a result before it is
// delivered. Written means that it survives the death of the process; Sync makes it survive the death of the
// machine, once for all records before it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/base/unique_fd.h"
#include "runner/base/value.h"

namespace bulkhead::agent {

// What the journal knows of a task.
struct Remembered {
  enum class Stage {
    kUnknown,    // nothing: it never ran
    kStarted,    // a call was begun, and its result is not known
    kInterim,    // a reply was had, and the task is to run again at `due`
    kFinal,      // it has its result, which may not have been delivered
    kDelivered,  // its result was delivered
  };
  Stage stage = Stage::kUnknown;
  uint64_t step = 0;                 // replies that were had before the last start
  int attempt = 0;                   // kStarted: how often the step was begun
  Value node;                        // kStarted, kInterim: accumulated so far; kFinal: the result
  WallTime due{};                    // kInterim
  std::chrono::nanoseconds wait{0};  // kInterim: what `due` was away when the reply came
};

// A task, of those that came with the same key one after the other.
struct TaskKey {
  std::string key;
  int generation = 0;
};

struct JournalOptions {
  // Every start is synced before the call. Needed where a call must never be repeated; a result is synced before
  // it leaves in any case.
  bool sync_starts = false;
  size_t compact_at = 4U << 20U;  // bytes of the file from which on it is rewritten when most of it is past
};

// Thread-safe. After the first write or sync that failed, everything fails: what the file holds is not known then.
class Journal {
 public:
  // Makes the folder's files when they are not there and takes an exclusive flock(2). A last record that was torn by
  // a crash is cut off; any other damage is kCorrupt, since what was delivered is then not known any more.
  static Result<std::unique_ptr<Journal>> Open(const std::string& folder, const JournalOptions& options);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Of the key's present generation.
  Remembered Recall(std::string_view key) const;
  // The generation that a task has which comes with this key now.
  int Generation(std::string_view key) const;

  // What is told of a generation that is past is not written: the workflow may have been quicker than the agent.
  Status Start(const TaskKey& task, uint64_t step, int attempt);
  // `step` counts this reply, which asked to be called again after `wait`.
  Status Interim(const TaskKey& task, uint64_t step, const Value& node, WallTime due, std::chrono::nanoseconds wait);
  Status Final(const TaskKey& task, const Value& result);
  // Tasks that were forgotten meanwhile stay so.
  Status Delivered(std::span<const TaskKey> tasks);
  // The tasks are gone from a task set that goes on: one that comes with the same key is of the next generation.
  Status Retire(std::span<const TaskKey> tasks);
  // Nothing is known of the tasks any more.
  Status Forget(std::span<const TaskKey> tasks);
  // The same of every key that begins with `prefix`.
  Status ForgetAll(std::string_view prefix);
  Status Sync();

  // Bytes of the file that were cut off as torn when it was opened.
  uint64_t cut_bytes() const { return cut_bytes_; }
  size_t size() const;     // tasks that it knows
  uint64_t bytes() const;  // of the file

 private:
  struct Entry {
    Remembered::Stage stage = Remembered::Stage::kUnknown;
    uint64_t step = 0;
    int attempt = 0;
    std::string node;  // JSON; empty: {}
    int64_t due_ms = 0;
    int64_t wait_ms = 0;
    int generation = 0;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  explicit Journal(std::string folder, JournalOptions options);
  Status Load(std::string_view text, uint64_t& whole);
  static Status Apply(const Value& record, Entries& entries);
  Status AppendLocked(std::string_view line);
  bool IsPastLocked(const TaskKey& task) const;
  Status ForgetLocked(std::span<const std::string> keys);
  Status CompactLocked();
  void MaybeCompactLocked();
  static std::string EntryLines(const std::string& key, const Entry& entry);

  const std::string folder_;
  const JournalOptions options_;
  UniqueFd lock_;
  uint64_t cut_bytes_ = 0;

  std::mutex sync_mutex_;  // one sync at a time; taken before mutex_
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<const UniqueFd> file_;  // a sync keeps the file it began with
  uint64_t size_ = 0;                     // of the file
  uint64_t compact_at_ = 0;               // its size when it is looked at next
  Entries entries_;
  bool dirty_ = false;  // written since the last sync
  std::optional<Error> failure_;
};

}  // namespace bulkhead::agent

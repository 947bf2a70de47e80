#include "runner/audit/audit_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "runner/audit/chain.h"
#include "runner/audit/verify.h"
#include "runner/base/io.h"
#include "runner/base/text.h"

namespace bulkhead::audit {

namespace {

constexpr size_t kMostWaiting = 4096;
// Under load, records that come within this time share one fdatasync(2).
constexpr auto kGather = std::chrono::milliseconds(2);
constexpr size_t kBusyBatch = 8;

class FileLog : public AuditLog {
 public:
  FileLog(UniqueFd file, std::string path, const Clock& clock, const FdReport& before)
      : file_(std::move(file)),
        path_(std::move(path)),
        clock_(clock),
        seq_(before.report.records),
        prev_(before.report.head.empty() ? FirstPrev() : before.report.head),
        last_time_(before.report.last_time),
        writer_([this] { Write(); }) {}

  ~FileLog() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      work_.notify_all();
    }
    writer_.join();
  }

  FileLog(const FileLog&) = delete;
  FileLog& operator=(const FileLog&) = delete;

  void Append(Record record, Done done) override {
    Waiting waiting;
    waiting.event = EventName(record.event);
    AppendJson(record.fields, waiting.fields);
    // The members without the braces around them.
    waiting.fields.pop_back();
    waiting.fields.erase(0, 1);
    waiting.done = std::move(done);
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return waiting_.size() < kMostWaiting; });
    waiting_.push_back(std::move(waiting));
    if (waiting_.size() == 1) work_.notify_one();
  }

  Status AppendSync(Record record) override {
    std::promise<Status> promise;
    std::future<Status> result = promise.get_future();
    Append(std::move(record), [&promise](Status status) { promise.set_value(std::move(status)); });
    return result.get();
  }

  bool failed() const override {
    const std::lock_guard lock(mutex_);
    return failure_.has_value();
  }

 private:
  struct Waiting {
    std::string_view event;
    std::string fields;
    Done done;
  };

  // The writer thread: everything that waits becomes one write and one sync.
  void Write() {
    std::vector<Waiting> batch;
    std::string text;
    bool busy = false;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [&] { return !waiting_.empty() || closing_; });
        if (waiting_.empty()) return;
        if (busy && !closing_)
          work_.wait_for(lock, kGather, [&] { return closing_ || waiting_.size() >= kMostWaiting; });
        batch.swap(waiting_);
        room_.notify_all();
      }
      busy = batch.size() >= kBusyBatch;
      const Status written = WriteBatch(batch, text);
      for (Waiting& waiting : batch) waiting.done(written);
      batch.clear();
    }
  }

  Status WriteBatch(const std::vector<Waiting>& batch, std::string& text) {
    {
      const std::lock_guard lock(mutex_);
      if (failure_.has_value()) return *failure_;
    }
    text.clear();
    // A clock that was set back must not make the log look reordered.
    std::string now = FormatTimestamp(clock_.Wall());
    if (now < last_time_) now = last_time_;
    last_time_ = now;
    for (const Waiting& waiting : batch) AppendLine(++seq_, now, waiting.event, waiting.fields, prev_, text);
    Status status = WriteAll(file_.get(), text);
    if (status.ok() && ::fdatasync(file_.get()) != 0) status = ErrnoError("fdatasync", errno);
    if (status.ok()) return status;
    const std::lock_guard lock(mutex_);
    failure_ =
        Error(status.error().code(),
              "the audit log " + path_ + " can't be written, so nothing more is applied: " + status.error().message());
    return *failure_;
  }

  const UniqueFd file_;
  const std::string path_;
  const Clock& clock_;

  // Of the writer thread.
  uint64_t seq_;
  std::string prev_;
  std::string last_time_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable room_;
  std::vector<Waiting> waiting_;  // guarded by mutex_
  bool closing_ = false;          // guarded by mutex_
  std::optional<Error> failure_;  // guarded by mutex_

  std::thread writer_;
};

// A new file's name must be durable as well (fsync(2)).
Status SyncFolder(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  BULKHEAD_ASSIGN(const UniqueFd fd, OpenFile(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return ErrnoError("fsync of the folder of " + path, errno);
  return OkStatus();
}

Result<UniqueFd> OpenLocked(const std::string& path) {
  BULKHEAD_ASSIGN(UniqueFd file, OpenFile(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY, 0600));
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) return ErrnoError(path, errno);
  if (!S_ISREG(info.st_mode)) return Error(Code::kInvalidInput, path + ": the audit log must be a regular file");
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return Error(Code::kUnavailable,
                   path + ": another agent is writing this audit log; give each its own with --audit");
    return ErrnoError("flock " + path, errno);
  }
  return file;
}

}  // namespace

std::string_view EventName(Event event) {
  switch (event) {
    case Event::kAgentStart: return "agent.start";
    case Event::kAgentStop: return "agent.stop";
    case Event::kPluginStart: return "plugin.start";
    case Event::kPluginExit: return "plugin.exit";
    case Event::kCall: return "call";
    case Event::kHttp: return "http";
    case Event::kRefusal: return "refusal";
    case Event::kTierRefused: return "tier.refused";
    case Event::kTaskRecovered: return "task.recovered";
    case Event::kPolicyReload: return "policy.reload";
    case Event::kCallerRefused: return "caller.refused";
    case Event::kLogRepaired: return "log.repaired";
  }
  return "";
}

Result<std::unique_ptr<AuditLog>> AuditLog::Open(const std::string& path, const Clock& clock) {
  BULKHEAD_ASSIGN(UniqueFd file, OpenLocked(path));
  BULKHEAD_ASSIGN(const FdReport before, VerifyFd(file.get()));
  const VerifyReport& report = before.report;
  if (!report.ok && !report.torn_tail) {
    return Error(Code::kCorrupt, path + ":" + std::to_string(report.bad_line) + ": the audit log does not verify: " +
                                     report.reason + "; keep it for the auditor and give another file with --audit");
  }
  BULKHEAD_TRY(SyncFolder(path));
  int64_t cut = 0;
  if (report.torn_tail) {
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    cut = static_cast<int64_t>(size) - static_cast<int64_t>(before.whole_bytes);
    if (size < 0 || ::ftruncate(file.get(), static_cast<off_t>(before.whole_bytes)) != 0)
      return ErrnoError("cutting the torn end of " + path, errno);
  }
  std::unique_ptr<AuditLog> log = std::make_unique<FileLog>(std::move(file), path, clock, before);
  if (cut > 0) {
    Value fields = Value::Object();
    fields.Set("cutBytes", Value::Number(cut));
    BULKHEAD_TRY(log->AppendSync({Event::kLogRepaired, std::move(fields)}));
  }
  return log;
}

}  // namespace bulkhead::audit

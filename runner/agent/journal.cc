#include "runner/agent/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "runner/agent/journal_record.h"
#include "runner/base/io.h"
#include "runner/base/json.h"

namespace bulkhead::agent {

namespace {

constexpr size_t kMostFile = 1U << 30U;
constexpr const char* kAnew = "; move the file away to begin anew, which may run tasks again";

Error OtherForm() {
  return {Code::kCorrupt, std::string("a record of another form than this version writes") + kAnew};
}

Value ParseNode(const std::string& json) {
  if (json.empty()) return Value::Object();
  JsonLimits limits;
  limits.bytes = limits.string_bytes = 64U << 20U;
  limits.depth = 128;
  limits.fold_keys = false;
  JsonParse parsed = ParseJson(json, limits);
  return parsed.ok ? std::move(parsed.value) : Value::Object();
}

Status SyncFolder(const std::string& folder) {
  BULKHEAD_ASSIGN(const UniqueFd fd, OpenFile(folder, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return ErrnoError("fsync of " + folder, errno);
  return OkStatus();
}

}  // namespace

Journal::Journal(std::string folder, JournalOptions options)
    : folder_(std::move(folder)), options_(options), compact_at_(options.compact_at) {}

Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::Open(const std::string& folder, const JournalOptions& options) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoError("journal folder " + folder, errno);
  std::unique_ptr<Journal> journal(new Journal(folder, options));
  BULKHEAD_ASSIGN(journal->lock_, OpenFile(folder + "/lock", O_RDWR | O_CREAT | O_NOCTTY));
  if (::flock(journal->lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return Error(Code::kUnavailable, folder + ": another agent uses this journal; give each its own with --journal");
    return ErrnoError("flock " + folder + "/lock", errno);
  }
  const std::string path = folder + "/journal";
  BULKHEAD_ASSIGN(UniqueFd file, OpenFile(path, O_RDWR | O_CREAT | O_APPEND | O_NOCTTY));
  auto text = ReadAll(file.get(), kMostFile);
  if (!text.ok()) return text.error().WithContext(path);
  uint64_t whole = 0;
  if (auto loaded = journal->Load(*text, whole); !loaded.ok()) return loaded.error().WithContext(path);
  journal->size_ = whole;
  journal->cut_bytes_ = text->size() - whole;
  if (journal->cut_bytes_ > 0 && ::ftruncate(file.get(), static_cast<off_t>(whole)) != 0)
    return ErrnoError("cutting the torn end of " + path, errno);
  journal->file_ = std::make_shared<const UniqueFd>(std::move(file));
  if (whole == 0) BULKHEAD_TRY(journal->AppendLocked(JournalLine(JournalHeader())));
  BULKHEAD_TRY(SyncFolder(folder));
  journal->MaybeCompactLocked();
  return journal;
}

// Applies the records of `text`; `whole` becomes the bytes of those that are as they were written.
Status Journal::Load(std::string_view text, uint64_t& whole) {
  JsonLimits limits;
  limits.bytes = limits.string_bytes = 64U << 20U;
  limits.depth = 130;
  limits.fold_keys = false;
  whole = 0;
  bool torn = false;
  for (size_t begin = 0, line = 1; begin < text.size(); ++line) {
    const size_t end = text.find('\n', begin);
    const std::string_view bytes = text.substr(begin, end == std::string_view::npos ? end : end - begin);
    const auto record = end == std::string_view::npos ? std::nullopt : VerifiedRecord(bytes);
    begin = end == std::string_view::npos ? text.size() : end + 1;
    if (!record.has_value()) {
      torn = true;
      continue;
    }
    // What was torn by a crash is the end of the file; a whole record after it says that it was not.
    if (torn) {
      return Error(Code::kCorrupt, "line " + std::to_string(line - 1) +
                                       " is damaged, and whole records follow it: what was delivered is not known" +
                                       kAnew);
    }
    JsonParse parsed = ParseJson(*record, limits);
    Status applied = parsed.ok ? OkStatus() : Status(Error(Code::kCorrupt, "no JSON: " + parsed.error.message));
    const bool header = parsed.ok && TextOf(parsed.value, "op") == "journal";
    if (applied.ok() && (line == 1) != header)
      applied = Error(Code::kCorrupt, "a journal begins with a record of its version, and only begins with it");
    if (header && NumberOf(parsed.value, "version") != kJournalVersion)
      applied = Error(Code::kCorrupt, "a journal of another version than " + std::to_string(kJournalVersion) + kAnew);
    if (applied.ok() && !header) applied = Apply(parsed.value, entries_);
    if (!applied.ok()) return applied.error().WithContext("line " + std::to_string(line));
    whole = begin;
  }
  return OkStatus();
}

Status Journal::Apply(const Value& record, Entries& entries) {
  const std::string op = TextOf(record, "op");
  if (op == "delivered" || op == "retire" || op == "forget") {
    const Value* const keys = record.Find("keys");
    const int64_t retired = NumberOf(record, "generation");
    if (retired < (op == "retire" ? 1 : 0) || retired >= std::numeric_limits<int>::max()) return OtherForm();
    for (const Value& key : keys == nullptr ? std::vector<Value>() : keys->items) {
      if (op == "forget") {
        entries.erase(key.text);
        continue;
      }
      Entry& entry = entries[key.text];
      const int generation = op == "retire" ? static_cast<int>(retired) : entry.generation;
      entry = Entry();
      entry.generation = generation;
      if (op == "delivered") entry.stage = Remembered::Stage::kDelivered;
    }
    return OkStatus();
  }
  const int64_t step = NumberOf(record, "step");
  const int64_t attempt = NumberOf(record, "attempt");
  const Value* const node = record.Find(op == "final" ? "result" : "node");
  if (step < 0 || attempt < 0 || attempt > std::numeric_limits<int>::max() || (node != nullptr && !node->is_object()))
    return OtherForm();
  Entry& entry = entries[TextOf(record, "key")];
  if (op == "start") {
    entry.stage = Remembered::Stage::kStarted;
    entry.step = static_cast<uint64_t>(step);
    entry.attempt = static_cast<int>(attempt);
  } else if (op == "interim") {
    entry = {Remembered::Stage::kInterim,
             static_cast<uint64_t>(step),
             0,
             node == nullptr ? "" : ToJson(*node),
             NumberOf(record, "due"),
             NumberOf(record, "wait"),
             entry.generation};
  } else if (op == "final") {
    entry = {Remembered::Stage::kFinal, 0, 0, node == nullptr ? "" : ToJson(*node), 0, 0, entry.generation};
  } else {
    return Error(Code::kCorrupt, "a record that is not known");
  }
  return OkStatus();
}

Remembered Journal::Recall(std::string_view key) const {
  Remembered remembered;
  std::string node;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return remembered;
    const Entry& entry = found->second;
    remembered.stage = entry.stage;
    remembered.step = entry.step;
    remembered.attempt = entry.attempt;
    remembered.due = WallTime(std::chrono::milliseconds(entry.due_ms));
    remembered.wait = std::chrono::milliseconds(entry.wait_ms);
    node = entry.node;
  }
  remembered.node = ParseNode(node);
  return remembered;
}

int Journal::Generation(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  return found == entries_.end() ? 0 : found->second.generation;
}

bool Journal::IsPastLocked(const TaskKey& task) const {
  const auto found = entries_.find(task.key);
  return found != entries_.end() && found->second.generation > task.generation;
}

Status Journal::Start(const TaskKey& task, uint64_t step, int attempt) {
  const std::string line = JournalLine(StartRecord(task.key, step, attempt));
  {
    const std::lock_guard lock(mutex_);
    if (IsPastLocked(task)) return OkStatus();
    BULKHEAD_TRY(AppendLocked(line));
    Entry& entry = entries_[task.key];
    entry.stage = Remembered::Stage::kStarted;
    entry.step = step;
    entry.attempt = attempt;
  }
  return options_.sync_starts ? Sync() : OkStatus();
}

Status Journal::Interim(const TaskKey& task, uint64_t step, const Value& node, WallTime due,
                        std::chrono::nanoseconds wait) {
  using Milliseconds = std::chrono::milliseconds;
  const int64_t due_ms = std::chrono::duration_cast<Milliseconds>(due.time_since_epoch()).count();
  const int64_t wait_ms = std::chrono::duration_cast<Milliseconds>(wait).count();
  std::string json = ToJson(node);
  const std::string line = JournalLine(InterimRecord(task.key, step, due_ms, wait_ms, json));
  const std::lock_guard lock(mutex_);
  if (IsPastLocked(task)) return OkStatus();
  BULKHEAD_TRY(AppendLocked(line));
  Entry& entry = entries_[task.key];
  entry = {Remembered::Stage::kInterim, step, 0, std::move(json), due_ms, wait_ms, entry.generation};
  MaybeCompactLocked();
  return OkStatus();
}

Status Journal::Final(const TaskKey& task, const Value& result) {
  std::string json = ToJson(result);
  const std::string line = JournalLine(FinalRecord(task.key, json));
  const std::lock_guard lock(mutex_);
  if (IsPastLocked(task)) return OkStatus();
  BULKHEAD_TRY(AppendLocked(line));
  Entry& entry = entries_[task.key];
  entry = {Remembered::Stage::kFinal, 0, 0, std::move(json), 0, 0, entry.generation};
  return OkStatus();
}

Status Journal::Delivered(std::span<const TaskKey> tasks) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> known;
  for (const TaskKey& task : tasks) {
    const auto found = entries_.find(task.key);
    if (found != entries_.end() && found->second.generation == task.generation) known.push_back(task.key);
  }
  if (known.empty()) return OkStatus();
  BULKHEAD_TRY(AppendLocked(JournalLine(KeysRecord("delivered", known))));
  for (const std::string& key : known) {
    Entry& entry = entries_[key];
    entry = {Remembered::Stage::kDelivered, 0, 0, {}, 0, 0, entry.generation};
  }
  MaybeCompactLocked();
  return OkStatus();
}

Status Journal::Retire(std::span<const TaskKey> tasks) {
  const std::lock_guard lock(mutex_);
  std::map<int, std::vector<std::string>> by_generation;
  for (const TaskKey& task : tasks) {
    if (!IsPastLocked(task)) by_generation[task.generation + 1].push_back(task.key);
  }
  for (const auto& [generation, keys] : by_generation) {
    BULKHEAD_TRY(AppendLocked(JournalLine(KeysRecord("retire", keys, generation))));
    for (const std::string& key : keys) entries_[key] = {Remembered::Stage::kUnknown, 0, 0, {}, 0, 0, generation};
  }
  MaybeCompactLocked();
  return OkStatus();
}

Status Journal::Forget(std::span<const TaskKey> tasks) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  for (const TaskKey& task : tasks) {
    if (!IsPastLocked(task)) keys.push_back(task.key);
  }
  return ForgetLocked(keys);
}

Status Journal::ForgetAll(std::string_view prefix) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  for (auto at = entries_.lower_bound(prefix); at != entries_.end() && at->first.starts_with(prefix); ++at)
    keys.push_back(at->first);
  return ForgetLocked(keys);
}

Status Journal::ForgetLocked(std::span<const std::string> keys) {
  if (keys.empty()) return OkStatus();
  BULKHEAD_TRY(AppendLocked(JournalLine(KeysRecord("forget", keys))));
  for (const std::string& key : keys) entries_.erase(key);
  MaybeCompactLocked();
  return OkStatus();
}

Status Journal::Sync() {
  // Who comes while another syncs waits for it, and then finds what it wrote durable or syncs it.
  const std::lock_guard sync_lock(sync_mutex_);
  std::shared_ptr<const UniqueFd> file;
  {
    const std::lock_guard lock(mutex_);
    if (failure_.has_value()) return *failure_;
    if (!std::exchange(dirty_, false)) return OkStatus();
    file = file_;
  }
  // Without mutex_: records go on being written meanwhile.
  if (::fdatasync(file->get()) == 0) return OkStatus();
  const int error = errno;
  const std::lock_guard lock(mutex_);
  // The kernel may not report the same failure twice (fsync(2), NOTES).
  failure_ = Error(Code::kInternal, "the journal in " + folder_ + " can't be made durable, so nothing more is run: " +
                                        ErrnoError("fdatasync", error).message());
  return *failure_;
}

size_t Journal::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

uint64_t Journal::bytes() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

Status Journal::AppendLocked(std::string_view line) {
  if (failure_.has_value()) return *failure_;
  const Status written = WriteAll(file_->get(), line);
  if (written.ok()) {
    size_ += line.size();
    dirty_ = true;
    return OkStatus();
  }
  // The half of a record in the middle of the file would be damage; at its end it is only torn.
  failure_ =
      Error(written.error().code(),
            "the journal in " + folder_ + " can't be written, so nothing more is run: " + written.error().message());
  return *failure_;
}

std::string Journal::EntryLines(const std::string& key, const Entry& entry) {
  const std::string_view node = entry.node.empty() ? std::string_view("{}") : std::string_view(entry.node);
  const auto interim = [&] { return JournalLine(InterimRecord(key, entry.step, entry.due_ms, entry.wait_ms, node)); };
  std::string lines;
  if (entry.generation != 0) lines = JournalLine(KeysRecord("retire", std::span(&key, 1), entry.generation));
  switch (entry.stage) {
    case Remembered::Stage::kUnknown: break;
    case Remembered::Stage::kStarted:
      if (!entry.node.empty()) lines += interim();
      lines += JournalLine(StartRecord(key, entry.step, entry.attempt));
      break;
    case Remembered::Stage::kInterim: lines += interim(); break;
    case Remembered::Stage::kFinal: lines += JournalLine(FinalRecord(key, node)); break;
    case Remembered::Stage::kDelivered: lines += JournalLine(KeysRecord("delivered", std::span(&key, 1))); break;
  }
  return lines;
}

// Rewrites the file when what it still tells is less than a quarter of it.
void Journal::MaybeCompactLocked() {
  if (size_ < compact_at_ || failure_.has_value()) return;
  uint64_t live = 0;
  for (const auto& [key, entry] : entries_) live += key.size() + entry.node.size() + 64;
  // A file that could not be made smaller, or not be rewritten for want of room, goes on growing for a while.
  if (live * 4 > size_ || !CompactLocked().ok()) compact_at_ = size_ * 2;
}

Status Journal::CompactLocked() {
  const std::string path = folder_ + "/journal.new";
  BULKHEAD_ASSIGN(UniqueFd file, OpenFile(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOCTTY));
  std::string text = JournalLine(JournalHeader());
  uint64_t size = 0;
  for (const auto& [key, entry] : entries_) {
    text += EntryLines(key, entry);
    if (text.size() < (1U << 20U)) continue;
    BULKHEAD_TRY(WriteAll(file.get(), text));
    size += text.size();
    text.clear();
  }
  BULKHEAD_TRY(WriteAll(file.get(), text));
  size += text.size();
  if (::fsync(file.get()) != 0) return ErrnoError("fsync " + path, errno);
  if (::rename(path.c_str(), (folder_ + "/journal").c_str()) != 0) return ErrnoError("rename " + path, errno);
  // From here the new file is the journal, whether or not its name is durable: the old one tells the same.
  file_ = std::make_shared<const UniqueFd>(std::move(file));
  size_ = size;
  dirty_ = false;
  compact_at_ = std::max<uint64_t>(options_.compact_at, size * 4);
  return SyncFolder(folder_);
}

}  // namespace bulkhead::agent

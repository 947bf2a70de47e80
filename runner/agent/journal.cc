#include "runner/agent/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <limits>
#include <utility>

#include "runner/base/io.h"
#include "runner/base/json.h"

namespace bulkhead::agent {

namespace {

constexpr size_t kMostFile = 1U << 30U;
constexpr size_t kChecksumDigits = 8;
constexpr int kVersion = 1;
constexpr auto kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
    table[i] = crc;
  }
  return table;
}();

// CRC-32C (RFC 3720, appendix B.4).
uint32_t Checksum(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFU;
  for (const char c : bytes) crc = (crc >> 8U) ^ kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFFU];
  return ~crc;
}

std::string Digits(std::string_view record) {
  std::array<char, kChecksumDigits + 1> digits{};
  std::snprintf(digits.data(), digits.size(), "%08x", Checksum(record));
  return std::string(digits.data(), kChecksumDigits);
}

std::string Line(std::string_view record) {
  std::string line = Digits(record);
  line += ' ';
  line += record;
  line += '\n';
  return line;
}

// The record of a line without its line feed, or nullopt when the line is not what was written.
std::optional<std::string_view> Verified(std::string_view line) {
  if (line.size() <= kChecksumDigits || line[kChecksumDigits] != ' ') return std::nullopt;
  const std::string_view record = line.substr(kChecksumDigits + 1);
  if (Digits(record) != line.substr(0, kChecksumDigits)) return std::nullopt;
  return record;
}

std::string Begin(std::string_view op, std::string_view key) {
  std::string record = "{\"op\":\"";
  record += op;
  record += "\",\"key\":";
  AppendJsonString(key, record);
  return record;
}

std::string StartRecord(std::string_view key, uint64_t step, int attempt) {
  return Begin("start", key) + ",\"step\":" + std::to_string(step) + ",\"attempt\":" + std::to_string(attempt) + "}";
}

std::string InterimRecord(std::string_view key, uint64_t step, int64_t due_ms, std::string_view node) {
  std::string record =
      Begin("interim", key) + ",\"step\":" + std::to_string(step) + ",\"due\":" + std::to_string(due_ms) + ",\"node\":";
  record += node;
  return record + "}";
}

std::string FinalRecord(std::string_view key, std::string_view result) {
  std::string record = Begin("final", key) + ",\"result\":";
  record += result;
  return record + "}";
}

std::string KeysRecord(std::string_view op, std::span<const std::string> keys) {
  std::string record = "{\"op\":\"" + std::string(op) + "\",\"keys\":[";
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) record += ',';
    AppendJsonString(keys[i], record);
  }
  return record + "]}";
}

std::string HeaderRecord() {
  return "{\"op\":\"journal\",\"version\":" + std::to_string(kVersion) + "}";
}

int64_t NumberOf(const Value& record, std::string_view key) {
  const Value* const value = record.Find(key);
  int64_t number = 0;
  if (value != nullptr && value->is_number())
    std::from_chars(value->text.data(), value->text.data() + value->text.size(), number);
  return number;
}

std::string TextOf(const Value& record, std::string_view key) {
  const Value* const value = record.Find(key);
  return value != nullptr && value->is_string() ? value->text : "";
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
  if (whole == 0) BULKHEAD_TRY(journal->AppendLocked(Line(HeaderRecord())));
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
    const auto record = end == std::string_view::npos ? std::nullopt : Verified(bytes);
    begin = end == std::string_view::npos ? text.size() : end + 1;
    if (!record.has_value()) {
      torn = true;
      continue;
    }
    // What was torn by a crash is the end of the file; a whole record after it says that it was not.
    if (torn) {
      return Error(Code::kCorrupt, "line " + std::to_string(line - 1) +
                                       " is damaged, and whole records follow it: what was delivered is not known; "
                                       "move the file away to begin anew, which may run tasks again");
    }
    JsonParse parsed = ParseJson(*record, limits);
    Status applied = parsed.ok ? OkStatus() : Status(Error(Code::kCorrupt, "no JSON: " + parsed.error.message));
    const bool header = parsed.ok && TextOf(parsed.value, "op") == "journal";
    if (applied.ok() && (line == 1) != header)
      applied = Error(Code::kCorrupt, "a journal begins with a record of its version, and only begins with it");
    if (header && NumberOf(parsed.value, "version") != kVersion)
      applied = Error(Code::kCorrupt, "a journal of another version than " + std::to_string(kVersion));
    if (applied.ok() && !header) applied = Apply(parsed.value, entries_);
    if (!applied.ok()) return applied.error().WithContext("line " + std::to_string(line));
    whole = begin;
  }
  return OkStatus();
}

Status Journal::Apply(const Value& record, Entries& entries) {
  const std::string op = TextOf(record, "op");
  if (op == "delivered" || op == "forget") {
    const Value* const keys = record.Find("keys");
    for (const Value& key : keys == nullptr ? std::vector<Value>() : keys->items) {
      if (op == "forget") {
        entries.erase(key.text);
      } else {
        entries[key.text] = {Remembered::Stage::kDelivered, 0, 0, {}, 0};
      }
    }
    return OkStatus();
  }
  const int64_t step = NumberOf(record, "step");
  const int64_t attempt = NumberOf(record, "attempt");
  const Value* const node = record.Find(op == "final" ? "result" : "node");
  if (step < 0 || attempt < 0 || attempt > std::numeric_limits<int>::max() || (node != nullptr && !node->is_object()))
    return Error(Code::kCorrupt, "a record of another form than this version writes");
  Entry& entry = entries[TextOf(record, "key")];
  if (op == "start") {
    entry.stage = Remembered::Stage::kStarted;
    entry.step = static_cast<uint64_t>(step);
    entry.attempt = static_cast<int>(attempt);
  } else if (op == "interim") {
    entry = {Remembered::Stage::kInterim, static_cast<uint64_t>(step), 0, node == nullptr ? "" : ToJson(*node),
             NumberOf(record, "due")};
  } else if (op == "final") {
    entry = {Remembered::Stage::kFinal, 0, 0, node == nullptr ? "" : ToJson(*node), 0};
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
    node = entry.node;
  }
  remembered.node = ParseNode(node);
  return remembered;
}

Status Journal::Start(std::string_view key, uint64_t step, int attempt) {
  const std::string line = Line(StartRecord(key, step, attempt));
  {
    const std::lock_guard lock(mutex_);
    BULKHEAD_TRY(AppendLocked(line));
    Entry& entry = entries_[std::string(key)];
    entry.stage = Remembered::Stage::kStarted;
    entry.step = step;
    entry.attempt = attempt;
  }
  return options_.sync_starts ? Sync() : OkStatus();
}

Status Journal::Interim(std::string_view key, uint64_t step, const Value& node, WallTime due) {
  const int64_t due_ms = std::chrono::duration_cast<std::chrono::milliseconds>(due.time_since_epoch()).count();
  std::string json = ToJson(node);
  const std::string line = Line(InterimRecord(key, step, due_ms, json));
  const std::lock_guard lock(mutex_);
  BULKHEAD_TRY(AppendLocked(line));
  entries_[std::string(key)] = {Remembered::Stage::kInterim, step, 0, std::move(json), due_ms};
  MaybeCompactLocked();
  return OkStatus();
}

Status Journal::Final(std::string_view key, const Value& result) {
  std::string json = ToJson(result);
  const std::string line = Line(FinalRecord(key, json));
  const std::lock_guard lock(mutex_);
  BULKHEAD_TRY(AppendLocked(line));
  entries_[std::string(key)] = {Remembered::Stage::kFinal, 0, 0, std::move(json), 0};
  return OkStatus();
}

Status Journal::Delivered(std::span<const std::string> keys) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> known;
  for (const std::string& key : keys) {
    if (entries_.find(key) != entries_.end()) known.push_back(key);
  }
  if (known.empty()) return OkStatus();
  BULKHEAD_TRY(AppendLocked(Line(KeysRecord("delivered", known))));
  for (const std::string& key : known) entries_[key] = {Remembered::Stage::kDelivered, 0, 0, {}, 0};
  MaybeCompactLocked();
  return OkStatus();
}

Status Journal::Forget(std::span<const std::string> keys) {
  if (keys.empty()) return OkStatus();
  const std::string line = Line(KeysRecord("forget", keys));
  const std::lock_guard lock(mutex_);
  BULKHEAD_TRY(AppendLocked(line));
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
  switch (entry.stage) {
    case Remembered::Stage::kUnknown: return "";
    case Remembered::Stage::kStarted: {
      std::string lines;
      if (!entry.node.empty()) lines = Line(InterimRecord(key, entry.step, entry.due_ms, node));
      return lines + Line(StartRecord(key, entry.step, entry.attempt));
    }
    case Remembered::Stage::kInterim: return Line(InterimRecord(key, entry.step, entry.due_ms, node));
    case Remembered::Stage::kFinal: return Line(FinalRecord(key, node));
    case Remembered::Stage::kDelivered: return Line(KeysRecord("delivered", std::span(&key, 1)));
  }
  return "";
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
  std::string text = Line(HeaderRecord());
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

#include "runner/audit/verify.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "runner/audit/chain.h"
#include "runner/base/io.h"

namespace bulkhead::audit {

namespace {

// Far over anything the agent writes: a longer line is damage.
constexpr size_t kLongestLine = 8U << 20U;

// Takes lines in order and says what is wrong with the first bad one.
class Verifier {
 public:
  // False: the log is bad from here on.
  bool Line(std::string_view line) {
    std::string reason;
    const auto read = ParseLine(line, reason);
    if (!read.has_value()) return Bad(reason);
    if (read->seq != found_.report.records + 1) {
      return Bad("record " + std::to_string(found_.report.records + 1) + " is missing: this one is number " +
                 std::to_string(read->seq));
    }
    if (read->prev != prev_) return Bad("the record before was replaced or removed: prev is not its hash");
    if (read->time < found_.report.last_time) return Bad("its time is before that of the record before");
    prev_ = read->hash;
    if (found_.report.records++ == 0) found_.report.first_time = read->time;
    found_.report.last_time = read->time;
    found_.report.head = read->hash;
    found_.whole_bytes += line.size() + 1;
    return true;
  }

  bool Bad(std::string reason) {
    found_.report.bad_line = found_.report.records + 1;
    found_.report.reason = std::move(reason);
    return false;
  }

  void Torn() {
    Bad("the last line is incomplete: the agent or the machine stopped while writing it");
    found_.report.torn_tail = true;
  }

  FdReport Done() {
    found_.report.ok = found_.report.bad_line == 0;
    return found_;
  }

 private:
  std::string prev_ = FirstPrev();
  FdReport found_;
};

}  // namespace

Result<FdReport> VerifyFd(int fd) {
  std::array<char, 64U << 10U> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by pread
  Verifier verifier;
  std::string line;
  for (off_t at = 0;;) {
    const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoError("reading the audit log", errno);
    if (count == 0) break;
    at += count;
    for (std::string_view rest(buffer.data(), static_cast<size_t>(count)); !rest.empty();) {
      const size_t end = rest.find('\n');
      line += rest.substr(0, end);
      if (line.size() > kLongestLine) {
        verifier.Bad("no record: the line is too long");
        return verifier.Done();
      }
      if (end == std::string_view::npos) break;
      if (!verifier.Line(line)) return verifier.Done();
      line.clear();
      rest.remove_prefix(end + 1);
    }
  }
  if (!line.empty()) verifier.Torn();
  return verifier.Done();
}

Result<VerifyReport> Verify(const std::string& path) {
  BULKHEAD_ASSIGN(const UniqueFd file, OpenFile(path, O_RDONLY));
  auto found = VerifyFd(file.get());
  if (!found.ok()) return found.error().WithContext(path);
  return found->report;
}

}  // namespace bulkhead::audit

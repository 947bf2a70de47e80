#include "runner/audit/audit_log.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "runner/base/io.h"

namespace bulkhead::audit {
namespace {

class AuditTest : public ::testing::Test {
 protected:
  AuditTest() : folder_(TempDir::Create("audit-test-").value()), path_(folder_.path() + "/audit.jsonl") {}

  std::unique_ptr<AuditLog> Open() {
    auto log = AuditLog::Open(path_, clock_);
    EXPECT_TRUE(log.ok()) << log.error().message();
    return log.ok() ? std::move(*log) : nullptr;
  }
  static Record Call(int number) {
    Value fields = Value::Object();
    fields.Set("node", Value::String("n" + std::to_string(number)));
    return {Event::kCall, std::move(fields)};
  }
  void Fill(int records) {
    const auto log = Open();
    for (int i = 0; i < records; ++i) ASSERT_TRUE(log->AppendSync(Call(i)).ok());
  }
  std::string Text() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Replace(const std::string& text) const { std::ofstream(path_, std::ios::trunc) << text; }
  VerifyReport Report() const { return *Verify(path_); }

  const Clock clock_;
  const TempDir folder_;
  const std::string path_;
};

TEST_F(AuditTest, RecordsVerifyAndAreContinued) {
  Fill(3);
  Fill(2);
  const VerifyReport report = Report();
  EXPECT_TRUE(report.ok) << report.reason;
  EXPECT_EQ(report.records, 5U);
  EXPECT_EQ(report.head.size(), 64U);
}

TEST_F(AuditTest, EveryAlterationIsFoundAtItsLine) {
  Fill(5);
  const std::string whole = Text();
  std::vector<size_t> starts = {0};
  for (size_t i = 0; i + 1 < whole.size(); ++i) {
    if (whole[i] == '\n') starts.push_back(i + 1);
  }
  const auto expect_bad = [&](const std::string& text, uint64_t line, const char* what) {
    Replace(text);
    const VerifyReport report = Report();
    EXPECT_FALSE(report.ok) << what;
    EXPECT_EQ(report.bad_line, line) << what << ": " << report.reason;
    const auto reopened = AuditLog::Open(path_, clock_);
    EXPECT_FALSE(reopened.ok()) << what;
    EXPECT_EQ(Text(), text) << "a damaged log was written to";
  };
  std::string changed = whole;
  changed[whole.find("n2") + 1] = '9';
  expect_bad(changed, 3, "a changed field");
  expect_bad(whole.substr(0, starts[1]) + whole.substr(starts[2]), 2, "a line taken out");
  expect_bad(whole.substr(0, starts[1]) + whole.substr(starts[2], starts[3] - starts[2]) +
                 whole.substr(starts[1], starts[2] - starts[1]) + whole.substr(starts[3]),
             2, "two lines swapped");
  expect_bad(whole.substr(0, starts[3]) + whole.substr(starts[2], starts[3] - starts[2]) + whole.substr(starts[3]), 4,
             "a line twice");
  expect_bad(whole.substr(starts[1]), 1, "the first line taken away");
  expect_bad("\n" + whole, 1, "an empty line");
}

TEST_F(AuditTest, EveryBitOfALineCounts) {
  Fill(2);
  const std::string whole = Text();
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    Replace(changed);
    EXPECT_FALSE(Report().ok) << "byte " << at;
  }
}

TEST_F(AuditTest, ATornEndIsCutAndTheCutRecorded) {
  Fill(3);
  const std::string whole = Text();
  const size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t size = last + 1; size < whole.size(); size += 7) {
    Replace(whole.substr(0, size));
    EXPECT_TRUE(Report().torn_tail);
    ASSERT_NE(Open(), nullptr);
    const VerifyReport report = Report();
    EXPECT_TRUE(report.ok) << report.reason;
    EXPECT_EQ(report.records, 3U);
    EXPECT_NE(Text().find("log.repaired"), std::string::npos);
  }
}

TEST_F(AuditTest, ALogHasOneWriter) {
  const auto log = Open();
  const auto second = AuditLog::Open(path_, clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message().find("another"), std::string::npos) << second.error().message();
}

TEST_F(AuditTest, OnlyARegularFileIsALog) {
  EXPECT_FALSE(AuditLog::Open("/dev/null", clock_).ok());
  EXPECT_FALSE(AuditLog::Open(folder_.path(), clock_).ok());
  EXPECT_FALSE(AuditLog::Open(folder_.path() + "/no/such/folder/log", clock_).ok());
}

TEST_F(AuditTest, ManyThreadsKeepTheChainAndTheirOrder) {
  constexpr int kThreads = 8;
  constexpr int kEach = 200;
  std::atomic<int> done = 0;
  {
    const auto log = Open();
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i)
          log->Append(Call(t * kEach + i), [&](const Status& status) { done += status.ok() ? 1 : 0; });
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(done, kThreads * kEach);
  EXPECT_EQ(Report().records, static_cast<uint64_t>(kThreads * kEach));
  EXPECT_TRUE(Report().ok);
}

// A full disk, by the kernel's own limit on a file's size: what RLIMIT_FSIZE answers (EFBIG) takes the same way
// as ENOSPC. In a child, since the limit is the process's.
TEST_F(AuditTest, AFullDiskClosesTheLogForGood) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {2000, 2000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto log = AuditLog::Open(path_, clock_);
    if (!log.ok()) ::_exit(2);
    int failed = 0;
    for (int i = 0; i < 50; ++i) failed += (*log)->AppendSync(Call(i)).ok() ? 0 : 1;
    ::_exit(failed > 0 && (*log)->failed() && !(*log)->AppendSync(Call(99)).ok() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(Report().ok || Report().torn_tail) << Report().reason;
  ASSERT_NE(Open(), nullptr);
  EXPECT_TRUE(Report().ok);
}

TEST_F(AuditTest, WhatWasAcknowledgedSurvivesKill9) {
  int fds[2] = {};
  ASSERT_EQ(::pipe(fds), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    auto log = AuditLog::Open(path_, clock_);
    for (int i = 0;; ++i) {
      if (!log.ok() || !(*log)->AppendSync(Call(i)).ok()) ::_exit(1);
      const char byte = 1;
      if (::write(fds[1], &byte, 1) != 1) ::_exit(1);
    }
  }
  ::close(fds[1]);
  int acknowledged = 0;
  char byte = 0;
  while (acknowledged < 100 && ::read(fds[0], &byte, 1) == 1) ++acknowledged;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  while (::read(fds[0], &byte, 1) == 1) ++acknowledged;
  ::close(fds[0]);
  ASSERT_NE(Open(), nullptr);
  EXPECT_TRUE(Report().ok) << Report().reason;
  EXPECT_GE(Report().records, static_cast<uint64_t>(acknowledged));
}

}  // namespace
}  // namespace bulkhead::audit

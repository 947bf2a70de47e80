#include "runner/agent/journal.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "runner/base/io.h"

namespace bulkhead::agent {
namespace {

using Stage = Remembered::Stage;

constexpr auto kWait = std::chrono::seconds(7);
const std::vector<std::string> kKeys = {"uid/a", "uid/b", "uid/\u00fc\n\"c"};

Value Node(const std::string& phase, const std::string& message) {
  Value node = Value::Object();
  node.Set("phase", Value::String(phase));
  node.Set("message", Value::String(message));
  return node;
}

std::string Told(const Remembered& remembered) {
  return std::to_string(static_cast<int>(remembered.stage)) + "/" + std::to_string(remembered.step) + "/" +
         std::to_string(remembered.attempt) + "/" + ToJson(remembered.node) + "/" +
         std::to_string(remembered.due.time_since_epoch() / std::chrono::milliseconds(1)) + "/" +
         std::to_string(remembered.wait / std::chrono::milliseconds(1));
}

class JournalTest : public ::testing::Test {
 protected:
  JournalTest() : dir_(std::move(TempDir::Create("journal-").value())), folder_(dir_.path() + "/j") {}

  std::unique_ptr<Journal> Open(JournalOptions options = {}) {
    auto journal = Journal::Open(folder_, options);
    EXPECT_TRUE(journal.ok()) << journal.error().message();
    return journal.ok() ? std::move(*journal) : nullptr;
  }
  std::string File() const { return folder_ + "/journal"; }
  std::string Bytes() const { return ReadFile(File(), 1U << 30U).value(); }
  void Replace(const std::string& bytes) const { std::ofstream(File(), std::ios::trunc | std::ios::binary) << bytes; }

  static std::map<std::string, std::string> All(const Journal& journal) {
    std::map<std::string, std::string> all;
    for (const std::string& key : kKeys)
      all[key] = std::to_string(journal.Generation(key)) + ": " + Told(journal.Recall(key));
    return all;
  }

  // A life of every kind of record; calls `after` behind each.
  static void Live(Journal& journal, const std::function<void()>& after) {
    const WallTime due{std::chrono::milliseconds(1'700'000'000'123)};
    const std::vector<std::function<Status()>> steps = {
        [&] {
          return journal.Start({kKeys[0], 0}, 0, 1);
        },
        [&] {
          return journal.Start({kKeys[1], 0}, 0, 1);
        },
        [&] {
          return journal.Interim({kKeys[1], 0}, 1, Node("Running", "half"), due, kWait);
        },
        [&] {
          return journal.Final({kKeys[0], 0}, Node("Succeeded", "done"));
        },
        [&] {
          return journal.Start({kKeys[1], 0}, 1, 1);
        },
        [&] {
          return journal.Start({kKeys[1], 0}, 1, 2);
        },
        [&] {
          return journal.Delivered(std::vector<TaskKey>{{kKeys[0], 0}});
        },
        [&] {
          return journal.Start({kKeys[2], 0}, 0, 1);
        },
        [&] {
          return journal.Final({kKeys[2], 0}, Node("Failed", "line\nbreak"));
        },
        [&] {
          return journal.Retire(std::vector<TaskKey>{{kKeys[0], 0}, {kKeys[2], 0}});
        },
        [&] {
          return journal.Start({kKeys[2], 1}, 0, 1);
        },
        [&] {
          return journal.Final({kKeys[2], 1}, Node("Failed", "line\nbreak"));
        },
        [&] {
          return journal.Forget(std::vector<TaskKey>{{kKeys[0], 1}});
        },
        [&] {
          return journal.Final({kKeys[1], 0}, Node("Error", "\U0001F6A2"));
        },
    };
    for (const auto& step : steps) {
      const Status status = step();
      ASSERT_TRUE(status.ok()) << status.error().message();
      after();
    }
  }

  TempDir dir_;
  std::string folder_;
};

TEST_F(JournalTest, ItRemembersEachStageOverARestart) {
  {
    auto journal = Open();
    Live(*journal, [] {});
    ASSERT_TRUE(journal->Sync().ok());
  }
  auto journal = Open();
  EXPECT_EQ(journal->Recall(kKeys[0]).stage, Stage::kUnknown);  // forgotten
  const Remembered b = journal->Recall(kKeys[1]);
  EXPECT_EQ(b.stage, Stage::kFinal);
  EXPECT_EQ(b.node.Find("message")->text, "\U0001F6A2");
  const Remembered c = journal->Recall(kKeys[2]);
  EXPECT_EQ(c.stage, Stage::kFinal);
  EXPECT_EQ(c.node.Find("message")->text, "line\nbreak");
  EXPECT_EQ(journal->Generation(kKeys[1]), 0);
  EXPECT_EQ(journal->Generation(kKeys[2]), 1);
}

TEST_F(JournalTest, WhatIsToldOfAPastGenerationIsOfNoConsequence) {
  const TaskKey past = {"uid/a", 0};
  const TaskKey present = {"uid/a", 1};
  std::unique_ptr<Journal> journal = Open();
  ASSERT_TRUE(journal->Start(past, 0, 1).ok());
  ASSERT_TRUE(journal->Retire(std::vector<TaskKey>{past}).ok());
  EXPECT_EQ(journal->Recall("uid/a").stage, Stage::kUnknown);
  ASSERT_TRUE(journal->Start(present, 4, 2).ok());
  // All that the agent may still have to say of the first.
  ASSERT_TRUE(journal->Start(past, 0, 9).ok());
  ASSERT_TRUE(journal->Interim(past, 1, Node("Running", "past"), {}, kWait).ok());
  ASSERT_TRUE(journal->Final(past, Node("Failed", "past")).ok());
  ASSERT_TRUE(journal->Delivered(std::vector<TaskKey>{past}).ok());
  ASSERT_TRUE(journal->Forget(std::vector<TaskKey>{past}).ok());
  ASSERT_TRUE(journal->Retire(std::vector<TaskKey>{past}).ok());
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(journal->Generation("uid/a"), 1);
    EXPECT_EQ(journal->Recall("uid/a").stage, Stage::kStarted);
    EXPECT_EQ(journal->Recall("uid/a").step, 4U);
    EXPECT_EQ(journal->Recall("uid/a").attempt, 2);
    journal.reset();
    journal = Open();
  }
  ASSERT_TRUE(journal->Delivered(std::vector<TaskKey>{present}).ok());
  EXPECT_EQ(journal->Recall("uid/a").stage, Stage::kDelivered);
  EXPECT_EQ(journal->Generation("uid/a"), 1);
  // With its workflow all of it is gone, and nothing of another.
  ASSERT_TRUE(journal->Start({"uid2/a", 0}, 0, 1).ok());
  ASSERT_TRUE(journal->ForgetAll("uid/").ok());
  EXPECT_EQ(journal->Generation("uid/a"), 0);
  EXPECT_EQ(journal->size(), 1U);
}

TEST_F(JournalTest, AStartedStepKeepsWhatTheRepliesBeforeItCameTo) {
  const WallTime due{std::chrono::milliseconds(5)};
  {
    auto journal = Open();
    ASSERT_TRUE(journal->Interim({"uid/a", 0}, 3, Node("Running", "kept"), due, kWait).ok());
    ASSERT_TRUE(journal->Start({"uid/a", 0}, 3, 2).ok());
  }
  const Remembered a = Open()->Recall("uid/a");
  EXPECT_EQ(a.stage, Stage::kStarted);
  EXPECT_EQ(a.step, 3U);
  EXPECT_EQ(a.attempt, 2);
  EXPECT_EQ(a.node.Find("message")->text, "kept");
}

TEST_F(JournalTest, TruncatedAtAnyByteItKnowsExactlyTheWholeRecords) {
  std::vector<std::pair<size_t, std::map<std::string, std::string>>> told;  // size of the file to what was known
  {
    auto journal = Open();
    told.emplace_back(Bytes().size(), All(*journal));
    Live(*journal, [&] { told.emplace_back(Bytes().size(), All(*journal)); });
  }
  const std::string whole = Bytes();
  const auto nothing = told.front().second;
  for (size_t length = 0; length <= whole.size(); ++length) {
    SCOPED_TRACE(length);
    Replace(whole.substr(0, length));
    auto journal = Open();
    ASSERT_NE(journal, nullptr);
    auto expected = nothing;
    for (const auto& [size, known] : told) {
      if (size <= length) expected = known;
    }
    ASSERT_EQ(All(*journal), expected);
    // And it goes on from there; each time would take long.
    if (length % 16 != 0) continue;
    ASSERT_TRUE(journal->Start({"uid/more", 0}, 0, 1).ok());
    journal.reset();
    journal = Open();
    ASSERT_EQ(journal->cut_bytes(), 0U);
    ASSERT_EQ(All(*journal), expected);
    ASSERT_EQ(journal->Recall("uid/more").stage, Stage::kStarted);
  }
}

TEST_F(JournalTest, DamageBeforeWholeRecordsIsRefusedAndNotCutOff) {
  {
    auto journal = Open();
    Live(*journal, [] {});
  }
  const std::string whole = Bytes();
  // A line feed that is lost joins two lines, so the last two are left out.
  const size_t last = whole.rfind('\n', whole.rfind('\n', whole.size() - 2) - 1);
  for (size_t at = 0; at < last; ++at) {
    SCOPED_TRACE(at);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
    Replace(damaged);
    auto journal = Journal::Open(folder_, {});
    ASSERT_FALSE(journal.ok());
    ASSERT_EQ(journal.error().code(), Code::kCorrupt);
    ASSERT_EQ(Bytes(), damaged);
  }
}

TEST_F(JournalTest, CompactionForgetsThePastAndNothingElse) {
  JournalOptions options;
  options.compact_at = 64U << 10U;
  std::map<std::string, std::string> before;
  {
    auto journal = Open(options);
    Live(*journal, [] {});
    ASSERT_TRUE(journal->Start({"uid/open", 0}, 0, 7).ok());
    size_t largest = 0;
    for (int i = 0; i < 3000; ++i) {
      const std::vector<TaskKey> key = {{"uid/n" + std::to_string(i), 0}};
      ASSERT_TRUE(journal->Start(key[0], 0, 1).ok());
      ASSERT_TRUE(journal->Final(key[0], Node("Succeeded", std::string(100, 'x'))).ok());
      ASSERT_TRUE(journal->Delivered(key).ok());
      ASSERT_TRUE(journal->Forget(key).ok());
      largest = std::max<size_t>(largest, std::filesystem::file_size(File()));
    }
    EXPECT_LT(largest, 2 * options.compact_at);
    before = All(*journal);
  }
  auto journal = Open(options);
  EXPECT_EQ(All(*journal), before);
  EXPECT_EQ(journal->Recall("uid/open").attempt, 7);
  EXPECT_EQ(journal->size(), 3U);
}

TEST_F(JournalTest, AHalfWrittenCompactionIsOfNoConsequence) {
  {
    auto journal = Open();
    Live(*journal, [] {});
  }
  std::ofstream(folder_ + "/journal.new") << "half of a";
  auto journal = Open();
  EXPECT_EQ(journal->Recall(kKeys[1]).stage, Stage::kFinal);
}

TEST_F(JournalTest, AFullDiskEndsItAndTheNextOpensWhatWasWhole) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  {
    auto journal = Open();
    Live(*journal, [] {});
    const rlimit small = {Bytes().size() + 10, old.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    EXPECT_FALSE(journal->Start({"uid/late", 0}, 0, 1).ok());
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
    // For good: what the file holds is not known.
    EXPECT_FALSE(journal->Start({"uid/later", 0}, 0, 1).ok());
    EXPECT_FALSE(journal->Sync().ok());
  }
  auto journal = Open();
  EXPECT_EQ(journal->cut_bytes(), 10U);
  EXPECT_EQ(journal->Recall("uid/late").stage, Stage::kUnknown);
  EXPECT_EQ(journal->Recall(kKeys[1]).stage, Stage::kFinal);
}

TEST_F(JournalTest, TwoAgentsCannotShareOne) {
  auto first = Open();
  auto second = Journal::Open(folder_, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kUnavailable);
}

TEST_F(JournalTest, AnotherVersionIsRefused) {
  { Open(); }
  std::string bytes = Bytes();
  ASSERT_NE(bytes.find("\"version\":1"), std::string::npos);
  // CRC-32C of {"op":"journal","version":2}, computed elsewhere.
  Replace("e9f3dba0 {\"op\":\"journal\",\"version\":2}\n");
  auto journal = Journal::Open(folder_, {});
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.error().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace bulkhead::agent

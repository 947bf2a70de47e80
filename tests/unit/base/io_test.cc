#include "runner/base/io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "runner/base/secret.h"

namespace bulkhead {
namespace {

TEST(ReadFile, ReadsWholeFilesAndRefusesLargerOnes) {
  auto folder = TempDir::Create("bulkhead-test-");
  ASSERT_TRUE(folder.ok());
  const std::string path = folder->path() + "/file";
  {
    auto file = OpenFile(path, O_WRONLY | O_CREAT);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(WriteAll(file->get(), std::string(100'000, 'x')).ok());
  }
  auto whole = ReadFile(path, 100'000);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->size(), 100'000U);
  auto refused = ReadFile(path, 99'999);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_NE(refused.error().message().find(path), std::string::npos);
  EXPECT_EQ(ReadFile(path + "-absent", 1).error().code(), Code::kNotFound);
}

TEST(OpenFile, GivesCloseOnExecDescriptors) {
  auto file = OpenFile("/dev/null", O_RDONLY);
  ASSERT_TRUE(file.ok());
  EXPECT_NE(::fcntl(file->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(SealedMemory, CannotBeChanged) {
  auto memory = SealedMemory("test", "content");
  ASSERT_TRUE(memory.ok());
  auto bytes = ReadAll(memory->get(), 100);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(*bytes, "content");
  EXPECT_LT(::pwrite(memory->get(), "x", 1, 0), 0);
  EXPECT_LT(::ftruncate(memory->get(), 0), 0);
  EXPECT_NE(::fcntl(memory->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(TempDir, IsPrivateAndLeavesNothing) {
  std::string path;
  {
    auto folder = TempDir::Create("bulkhead-test-");
    ASSERT_TRUE(folder.ok());
    path = folder->path();
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_all);
    ASSERT_TRUE(OpenFile(path + "/inside", O_WRONLY | O_CREAT).ok());
    TempDir moved = std::move(*folder);
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(RandomToken, HasTheLengthTheAlphabetAndNoRepeat) {
  const Secret a = RandomToken(32);
  const Secret b = RandomToken(32);
  EXPECT_EQ(a.Reveal().size(), 32U);
  EXPECT_NE(a.Reveal(), b.Reveal());
  EXPECT_EQ(a.Reveal().find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
            std::string_view::npos);
}

TEST(Secret, IsGoneFromWhereItWasMovedFrom) {
  Secret first(std::string("short"));
  const Secret second = std::move(first);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): the promise under test
  EXPECT_EQ(second.Reveal(), "short");
}

}  // namespace
}  // namespace bulkhead

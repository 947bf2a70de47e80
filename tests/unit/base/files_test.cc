#include "runner/base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "runner/base/io.h"

namespace bulkhead {
namespace {

namespace fs = std::filesystem;

class ExpandFoldersTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  void Write(const std::string& name) const { std::ofstream(Path(name)) << "x"; }
  // The names below the folder, or the error.
  std::vector<std::string> Names(Depth depth = Depth::kFolder) const {
    const auto files = ExpandFolders({folder_.path()}, {".yaml", ".yml"}, depth);
    if (!files.ok()) return {files.error().message()};
    std::vector<std::string> names;
    for (const std::string& file : *files) names.push_back(file.substr(folder_.path().size() + 1));
    return names;
  }
  std::string ErrorOf(Depth depth = Depth::kFolder) const {
    const auto files = ExpandFolders({folder_.path()}, {".yaml", ".yml"}, depth);
    return files.ok() ? "" : files.error().message();
  }
  const TempDir folder_ = TempDir::Create("files-test-").value();
};

using Strings = std::vector<std::string>;

TEST_F(ExpandFoldersTest, AFolderStandsForItsFilesInNameOrderAndAFileForItself) {
  for (const char* const name : {"b.yml", "a.yaml", ".hidden.yaml", "c.json", "yaml"}) Write(name);
  fs::create_directory(Path("beneath"));
  Write("beneath/d.yaml");
  EXPECT_EQ(Names(), (Strings{"a.yaml", "b.yml"}));
  EXPECT_EQ(Names(Depth::kTree), (Strings{"a.yaml", "b.yml", "beneath/d.yaml"}));
  EXPECT_EQ(ExpandFolders({Path("c.json"), Path("absent")}, {".yaml"}).value(),
            (Strings{Path("c.json"), Path("absent")}));
}

TEST_F(ExpandFoldersTest, AMountedConfigMapIsReadThroughItsLinksAndOnce) {
  fs::create_directory(Path("..2026_01_01"));
  Write("..2026_01_01/a.yaml");
  fs::create_directory_symlink("..2026_01_01", Path("..data"));
  fs::create_symlink("..data/a.yaml", Path("a.yaml"));
  for (const Depth depth : {Depth::kFolder, Depth::kTree}) EXPECT_EQ(Names(depth), (Strings{"a.yaml"}));
}

TEST_F(ExpandFoldersTest, WhatHasTheSuffixAndIsNoFileIsAnErrorWithItsPath) {
  Write("good.yaml");
  fs::create_symlink("nothing", Path("deny.yaml"));
  fs::create_directory_symlink(".", Path("folder.yml"));
  ASSERT_EQ(::mkfifo(Path("pipe.yaml").c_str(), 0600), 0);
  for (const Depth depth : {Depth::kFolder, Depth::kTree}) {
    const std::string error = ErrorOf(depth);
    for (const char* const name : {"deny.yaml", "folder.yml", "pipe.yaml"})
      EXPECT_NE(error.find(Path(name) + ": is no file"), std::string::npos) << error;
    EXPECT_EQ(error.find("good.yaml"), std::string::npos) << error;
  }
}

TEST_F(ExpandFoldersTest, AFolderNamedLikeAFileIsAnErrorUnlessItIsGoneInto) {
  fs::create_directory(Path("p.yaml"));
  Write("p.yaml/a.yaml");
  EXPECT_NE(ErrorOf().find("p.yaml: is no file"), std::string::npos);
  EXPECT_EQ(Names(Depth::kTree), (Strings{"p.yaml/a.yaml"}));
}

TEST_F(ExpandFoldersTest, AFolderWithoutSuchFilesIsAnErrorThatNamesThem) {
  Write("a.json");
  const auto files = ExpandFolders({folder_.path()}, {".x", ".yaml", ".yml"});
  ASSERT_FALSE(files.ok());
  EXPECT_EQ(files.error().code(), Code::kInvalidInput);
  EXPECT_EQ(files.error().message(), folder_.path() + ": the folder holds no *.x, *.yaml or *.yml file");
}

}  // namespace
}  // namespace bulkhead

#include "runner/base/files.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>

namespace bulkhead {

namespace {

namespace fs = std::filesystem;

using Suffixes = std::initializer_list<std::string_view>;

constexpr size_t kMostFiles = 10'000;

// "*.yaml, *.yml or *.json"
std::string Globs(Suffixes suffixes) {
  std::string globs;
  for (const std::string_view& suffix : suffixes) {
    if (&suffix != suffixes.begin()) globs += &suffix + 1 == suffixes.end() ? " or " : ", ";
    globs += "*" + std::string(suffix);
  }
  return globs;
}

void AddLine(const std::string& line, std::string& lines) {
  lines += (lines.empty() ? "" : "\n") + line;
}

// Adds the files of one folder to `files`, and what is wrong to `errors`.
void Expand(const std::string& folder, Suffixes suffixes, Depth depth, std::vector<std::string>& files,
            std::string& errors) {
  std::vector<std::string> found;
  bool wrong = false;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;  // what cannot be looked at is no file
    const fs::path& path = entry->path();
    const bool hidden = path.filename().string().starts_with('.');
    const bool is_folder = entry->is_directory(ignored) && !entry->is_symlink(ignored);
    if (hidden || depth == Depth::kFolder) entry.disable_recursion_pending();
    if (hidden || (is_folder && depth == Depth::kTree)) continue;
    if (std::find(suffixes.begin(), suffixes.end(), path.extension().string()) == suffixes.end()) continue;
    if (entry->is_regular_file(ignored)) {
      found.push_back(path.string());
    } else {
      AddLine(path.string() + ": is no file that can be read, nor a link to one; remove or rename it", errors);
      wrong = true;
    }
    if (found.size() > kMostFiles)
      return AddLine(folder + ": holds more than " + std::to_string(kMostFiles) + " files", errors);
  }
  if (error) return AddLine(folder + ": " + error.message(), errors);
  if (found.empty() && !wrong) return AddLine(folder + ": the folder holds no " + Globs(suffixes) + " file", errors);
  std::sort(found.begin(), found.end());
  std::move(found.begin(), found.end(), std::back_inserter(files));
}

}  // namespace

Result<std::vector<std::string>> ExpandFolders(const std::vector<std::string>& paths, Suffixes suffixes, Depth depth) {
  std::vector<std::string> files;
  std::string errors;
  for (const std::string& path : paths) {
    std::error_code ignored;  // reading it tells
    if (fs::is_directory(path, ignored)) {
      Expand(path, suffixes, depth, files, errors);
    } else {
      files.push_back(path);
    }
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, errors);
  return files;
}

}  // namespace bulkhead

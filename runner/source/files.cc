#include "runner/source/files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "runner/base/io.h"

namespace bulkhead::source {

namespace {
constexpr size_t kMostBytes = 16U << 20U;
}  // namespace

Result<std::vector<std::string>> ExpandYamlPaths(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      const std::string name = entry.path().filename().string();
      const std::string extension = entry.path().extension().string();
      if (name.front() == '.' || (extension != ".yaml" && extension != ".yml" && extension != ".json")) continue;
      std::error_code ignored;
      if (entry.is_regular_file(ignored)) found.push_back(entry.path().string());
    }
    if (error) return Error(Code::kInvalidInput, path + ": " + error.message());
    if (found.empty()) return Error(Code::kInvalidInput, path + ": the folder holds no .yaml, .yml or .json file");
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

Result<std::string> ReadInput(const std::string& file) {
  auto text = file == "-" ? ReadAll(0, kMostBytes) : ReadFile(file, kMostBytes);
  if (!text.ok()) return Error(Code::kInvalidInput, text.error().message());
  return text;
}

}  // namespace bulkhead::source

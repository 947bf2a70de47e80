#include "runner/source/files.h"

#include "runner/base/files.h"
#include "runner/base/io.h"

namespace bulkhead::source {

namespace {
constexpr size_t kMostBytes = 16U << 20U;
}  // namespace

Result<std::vector<std::string>> ExpandYamlPaths(const std::vector<std::string>& paths) {
  return ExpandFolders(paths, {".yaml", ".yml", ".json"});
}

Result<std::string> ReadInput(const std::string& file) {
  auto text = file == "-" ? ReadAll(0, kMostBytes) : ReadFile(file, kMostBytes);
  if (!text.ok()) return Error(Code::kInvalidInput, text.error().message());
  return text;
}

}  // namespace bulkhead::source

#include <algorithm>

#include "certs/identity.h"
#include "runner/base/text.h"

namespace bulkhead::certs {

namespace {

constexpr size_t kLongestUri = 2048;  // SPIFFE-ID, section 2.3

bool IsSegmentChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

Status CheckSegment(std::string_view segment) {
  const bool good = !segment.empty() && segment != "." && segment != ".." &&
                    std::all_of(segment.begin(), segment.end(), IsSegmentChar);
  if (good) return OkStatus();
  return Error(Code::kInvalidInput, "\"" + EscapeForTerminal(segment) +
                                        "\" can't stand in a SPIFFE ID: use letters, digits, '.', '_' and '-'");
}

Result<std::string> Join(std::string_view domain, std::initializer_list<std::string_view> segments) {
  std::string uri = "spiffe://" + std::string(domain);
  for (const std::string_view segment : segments) {
    BULKHEAD_TRY(CheckSegment(segment));
    uri += "/" + std::string(segment);
  }
  if (uri.size() > kLongestUri) return Error(Code::kInvalidInput, "a SPIFFE ID may have at most 2048 bytes");
  return uri;
}

}  // namespace

Result<std::string> PluginUri(std::string_view domain, std::string_view name_space, std::string_view workflow,
                              std::string_view plugin) {
  return Join(domain, {"ns", name_space, "wf", workflow, "plugin", plugin});
}

Result<std::string> AgentUri(std::string_view domain, std::string_view name_space, std::string_view workflow) {
  return Join(domain, {"ns", name_space, "wf", workflow, "agent"});
}

}  // namespace bulkhead::certs

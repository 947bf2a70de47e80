// Paths of policies: what is a path, matches itself as it is written in a verdict.
#include "fuzz.h"
#include "policy/path.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const policy::PathPattern::Parsed parsed = policy::PathPattern::Parse(fuzz::Text(data, size));
  if (!parsed.path.has_value()) {
    fuzz::Require(!parsed.problem.message.empty() && parsed.problem.id.size() == 4, "what is wrong is said");
    return 0;
  }
  const policy::PathPattern& pattern = *parsed.path;
  std::vector<std::string_view> keys;
  for (const policy::PathPattern::Key& key : pattern.keys())
    keys.push_back(key.any ? std::string_view("any") : std::string_view(key.text));
  fuzz::Require(pattern.Matches(pattern.leaf_id(), keys), "a pattern matches its own keys");
  std::string path;
  policy::AppendPath(pattern.leaf(), keys, path);
  fuzz::Require(pattern.Matches(path), "a pattern matches the path that a verdict would show");
  fuzz::Require(pattern.Covers(pattern), "a pattern covers itself");
  return 0;
}

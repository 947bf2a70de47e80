#include "fuzz.h"
#include "runner/audit/chain.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string reason;
  const std::string_view line = fuzz::Text(data, size);
  const auto read = audit::ParseLine(line, reason);
  fuzz::Require(read.has_value() || !reason.empty(), "a refusal has its reason");
  fuzz::Require(
      !read.has_value() || (read->hash.size() == audit::kHashDigits && line.find(read->hash) != std::string_view::npos),
      "a record has its hash");
  return 0;
}

#include "fuzz.h"
#include "runner/sandbox/plan.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = fuzz::Text(data, size);
  const auto plan = sandbox::ParsePlan(bytes);
  if (plan.has_value())
    fuzz::Require(sandbox::ParsePlan(sandbox::SerializePlan(*plan)).has_value(), "what is written reads back");
  return 0;
}

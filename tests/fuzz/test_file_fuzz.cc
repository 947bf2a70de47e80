// Test files of policies.
#include "fuzz.h"
#include "policy/tools/test_file.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Diagnostics diagnostics("f");
  const auto file = policy::tools::ReadTestFile(fuzz::Text(data, size), "f", diagnostics);
  fuzz::Require(file.has_value() || !diagnostics.empty(), "a refusal has its reason");
  if (!file.has_value() || diagnostics.HasErrors()) return 0;
  for (const policy::tools::TestCase& test : file->cases) {
    fuzz::Require(!test.name.empty() && !test.replies.empty(), "a case has a name and a reply");
    fuzz::Require(test.context.sent.is_object() && test.context.workflow.is_object(),
                  "what a case is about is mappings");
  }
  return 0;
}

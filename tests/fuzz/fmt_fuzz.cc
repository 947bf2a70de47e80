// The formatter: what strict YAML it takes it lays out, or says that it can't; the proof inside it never fails.
#include "policy/tools/fmt.h"

#include "fuzz.h"
#include "runner/base/yaml.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::Text(data, size);
  const auto formatted = policy::tools::Format(text, "f");
  if (!formatted.ok()) return 0;
  const auto again = policy::tools::Format(*formatted, "f");
  fuzz::Require(again.ok() && *again == *formatted, "what is laid out stays as it is");
  const auto before = ParseYaml(text, "f");
  const auto after = ParseYaml(*formatted, "f");
  fuzz::Require(before.ok() && after.ok() && before->size() == after->size(), "documents stay");
  return 0;
}

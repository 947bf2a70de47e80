#include "runner/base/yaml.h"

#include "fuzz.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto documents = ParseYaml(fuzz::Text(data, size), "f");
  if (!documents.ok()) {
    fuzz::Require(documents.error().message().starts_with("f"), "an error begins with its place");
    return 0;
  }
  for (const Value& document : *documents) {
    const auto again = ParseYaml(ToYaml(document), "g", {.depth = 128});
    fuzz::Require(again.ok() && again->size() == 1 && ToJson(again->front()) == ToJson(document),
                  "what is written reads back the same");
  }
  return 0;
}

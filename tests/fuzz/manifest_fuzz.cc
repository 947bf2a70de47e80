// Task sets and workflows, as they come from users.
#include "fuzz.h"
#include "runner/base/fields.h"
#include "runner/base/yaml.h"
#include "runner/source/container.h"
#include "runner/source/workflow.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto documents = ParseYaml(fuzz::Text(data, size), "f");
  if (!documents.ok()) return 0;
  for (const Value& document : *documents) {
    Diagnostics diagnostics("f");
    const source::LocalSet set = source::ReadSet(document, diagnostics);
    if (diagnostics.empty()) fuzz::Require(!set.workflow.name.empty(), "a set without errors has a name");
    Diagnostics of_container("f");
    agent::PluginManifest manifest;
    source::ReadContainer(document, {}, of_container, manifest);
  }
  return 0;
}

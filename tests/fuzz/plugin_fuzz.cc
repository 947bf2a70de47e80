// Plugins' manifests, and the Secrets and ConfigMaps that they refer to, in one stream of documents. What is referred
// to and not there comes from an API server that has whatever is asked for.
#include "fuzz.h"
#include "runner/base/yaml.h"
#include "runner/source/manifest.h"

using namespace bulkhead;

namespace {

Result<std::optional<Value>> Lookup(std::string_view kind, const std::string& name) {
  static const Value* const data = [] {
    Value object = Value::Object();
    for (const char* key : {"key", "password"}) object.Set(key, Value::String("dmFsdWU="));
    return new Value(std::move(object));
  }();
  if (name.size() % 3 == 2) return std::optional<Value>();
  Value metadata = Value::Object();
  metadata.Set("name", Value::String(name));
  Value object = Value::Object();
  object.Set("metadata", std::move(metadata));
  object.Set(kind == "Pod" ? "spec" : "data", *data);
  return std::optional<Value>(std::move(object));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto parsed = ParseYaml(fuzz::Text(data, size), "f");
  if (!parsed.ok()) return 0;
  std::vector<source::PluginDocument> documents;
  for (Value& value : *parsed) documents.push_back({"f", std::move(value)});
  const auto plugins = source::ReadPlugins(std::move(documents), Lookup);
  if (!plugins.ok()) {
    fuzz::Require(
        plugins.error().message().starts_with("f:") || plugins.error().message().find(' ') != std::string::npos,
        "a refusal has its reason");
    return 0;
  }
  for (const agent::PluginManifest& plugin : *plugins) {
    fuzz::Require(!plugin.name.empty() && !plugin.ports.empty(), "a plugin has a name and a port");
    for (const uint16_t port : plugin.ports) fuzz::Require(port != 0, "a port is one");
  }
  return 0;
}

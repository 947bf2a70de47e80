#include "runner/source/kubernetes_plugins.h"

#include <utility>

#include "runner/base/text.h"

namespace bulkhead::source {

namespace {

Result<std::optional<Value>> Get(kube::Client& client, const kube::Resource& resource) {
  const std::string what = resource.plural + " " + resource.name_space + "/" + resource.name;
  kube::Backoff backoff(std::chrono::milliseconds(200), std::chrono::seconds(2));
  constexpr int kAttempts = 8;
  for (int attempt = 1;; ++attempt) {
    const kube::Answer answer = client.Call({"get", resource, "", "", ""});
    if (answer.failure == kube::Failure::kNotFound) return std::optional<Value>();
    if (answer.ok()) {
      BULKHEAD_ASSIGN(Value object, kube::ParseObject(answer.body));
      return std::optional<Value>(std::move(object));
    }
    const bool may_help = answer.failure == kube::Failure::kTransport || answer.failure == kube::Failure::kServer ||
                          answer.failure == kube::Failure::kThrottled;
    if (!may_help || attempt == kAttempts || !client.Sleep(backoff.Next(answer.retry_after)))
      return Error(may_help ? Code::kUnavailable : Code::kPermissionDenied, what + ": " + answer.message);
  }
}

}  // namespace

Result<std::vector<PluginDocument>> FetchPluginConfigMaps(kube::Client& client, const std::string& name_space,
                                                          const std::vector<std::string>& names) {
  std::vector<PluginDocument> documents;
  for (const std::string& name : names) {
    BULKHEAD_ASSIGN(std::optional<Value> object, Get(client, {"", "v1", "configmaps", name_space, name, ""}));
    if (!object.has_value())
      return Error(Code::kNotFound, "--plugin-configmap: there is no ConfigMap " + name_space + "/" + name);
    object->Set("kind", Value::String("ConfigMap"));
    documents.push_back({"ConfigMap " + name, std::move(*object)});
  }
  return documents;
}

Result<std::vector<PluginDocument>> FetchWorkflowPlugins(kube::Client& client, const std::string& name_space,
                                                         const std::string& workflow) {
  std::vector<PluginDocument> documents;
  BULKHEAD_ASSIGN(std::optional<Value> object,
                  Get(client, {"argoproj.io", "v1alpha1", "workflows", name_space, workflow, ""}));
  Value* const spec = object.has_value() ? object->Find("spec") : nullptr;
  Value* const plugins = spec == nullptr ? nullptr : spec->Find("executorPlugins");
  if (plugins == nullptr) return documents;
  for (Value& plugin : plugins->items) {
    if (!plugin.is_object()) return Error(Code::kInvalidInput, "spec.executorPlugins must be a list of plugins");
    plugin.Set("apiVersion", Value::String("argoproj.io/v1alpha1"));
    plugin.Set("kind", Value::String("ExecutorPlugin"));
    documents.push_back({"Workflow " + workflow + ": spec.executorPlugins", std::move(plugin)});
  }
  return documents;
}

ObjectLookup LookupIn(kube::Client& client, const std::string& name_space, const std::string& pod) {
  return [&client, name_space, pod](std::string_view kind, const std::string& name) -> Result<std::optional<Value>> {
    if (kind == "Pod") return Get(client, {"", "v1", "pods", name_space, pod, ""});
    return Get(client, {"", "v1", kind == "Secret" ? "secrets" : "configmaps", name_space, name, ""});
  };
}

Result<Secret> FetchSecret(kube::Client& client, const std::string& name_space, const std::string& name,
                           std::string_view key) {
  BULKHEAD_ASSIGN(const std::optional<Value> object, Get(client, {"", "v1", "secrets", name_space, name, ""}));
  const Value* const data = object.has_value() ? object->Find("data") : nullptr;
  const Value* const value = data == nullptr ? nullptr : data->Find(key);
  auto bytes = value == nullptr ? std::nullopt : Base64Decode(value->text);
  if (bytes.has_value()) return Secret(std::move(*bytes));
  return Error(Code::kNotFound, "there is no Secret " + name_space + "/" + EscapeForTerminal(name) + " with a key \"" +
                                    EscapeForTerminal(key) + "\"");
}

}  // namespace bulkhead::source

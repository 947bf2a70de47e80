#include "runner/source/manifest.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "runner/base/io.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"
#include "runner/source/container.h"
#include "runner/source/files.h"

namespace bulkhead::source {

namespace {

constexpr std::string_view kConfigMapType = "workflows.argoproj.io/configmap-type";
constexpr std::string_view kConfigMapSuffix = "-executor-plugin";
constexpr auto kMethods =
    std::to_array<std::string_view>({"template.execute", "workflow.preOperate", "workflow.postOperate",
                                     "node.preExecute", "node.postExecute", "parameters.add"});

using Document = PluginDocument;

std::string KindOf(const Value& document) {
  const Value* const kind = document.Find("kind");
  return kind != nullptr && kind->is_string() ? kind->text : "";
}

std::string NameOf(const Value& document) {
  const Value* const metadata = document.Find("metadata");
  const Value* const name = metadata == nullptr ? nullptr : metadata->Find("name");
  return name != nullptr && name->is_string() ? name->text : "";
}

bool IsPluginConfigMap(const Value& document) {
  const Value* const metadata = document.Find("metadata");
  const Value* const labels = metadata == nullptr ? nullptr : metadata->Find("labels");
  const Value* const type = labels == nullptr ? nullptr : labels->Find(kConfigMapType);
  return KindOf(document) == "ConfigMap" && type != nullptr && type->text == "ExecutorPlugin";
}

// A name that can stand in a path, a SPIFFE id and a message (RFC 1123 subdomain).
bool IsDnsName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alnum(name.front()) || !alnum(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '-' || c == '.'; });
}

// --- Secrets and ConfigMaps ----------------------------------------------------------------------

void ReadReferences(const Document& document, Diagnostics& diagnostics, References& references) {
  const bool secret = KindOf(document.value) == "Secret";
  const std::string name = NameOf(document.value);
  auto& into = secret ? references.secrets : references.config_maps;
  const auto take = [&](std::string_view field, bool base64) {
    const Value* const data = document.value.Find(field);
    if (data == nullptr || !data->is_object()) return;
    for (const Member& member : data->members) {
      if (!member.value.is_string()) {
        diagnostics.Add(member.value.at,
                        std::string(field) + "." + EscapeForTerminal(member.key) + " must be a string; quote it");
        continue;
      }
      std::optional<std::string> bytes = member.value.text;
      if (base64) bytes = Base64Decode(member.value.text);
      if (!bytes.has_value()) {
        diagnostics.Add(member.value.at, std::string(field) + "." + EscapeForTerminal(member.key) + " is not base64");
        continue;
      }
      into[name + "/" + member.key] = std::move(*bytes);
    }
  };
  take("data", secret);
  if (secret) take("stringData", false);
}

// --- annotations ---------------------------------------------------------------------------------

// "a, b" to its elements.
std::vector<std::string> ReadList(std::string_view text) {
  std::vector<std::string> list = Split(text, ',');
  for (std::string& element : list) {
    element.erase(0, element.find_first_not_of(' '));
    element.erase(element.find_last_not_of(' ') + 1);
  }
  return list;
}

void ReadAnnotations(const Value& annotations, Diagnostics& diagnostics, agent::PluginManifest& manifest) {
  static constexpr std::string_view kPrefix = "bulkhead.dev/";
  static constexpr std::array<std::string_view, 4> kKnown = {
      "bulkhead.dev/handles", "bulkhead.dev/methods", "bulkhead.dev/minimum-tier", "bulkhead.dev/seccomp-profile"};
  for (const Member& member : annotations.members) {
    if (member.key.rfind(kPrefix, 0) != 0) continue;  // other people's annotations
    const std::string& text = member.value.text;
    if (!member.value.is_string()) {
      diagnostics.Add(member.value.at, "annotation " + member.key + " must be a string; quote it");
    } else if (member.key == "bulkhead.dev/handles") {
      manifest.handles = ReadList(text);
      if (std::find(manifest.handles.begin(), manifest.handles.end(), "") != manifest.handles.end())
        diagnostics.Add(member.value.at, "bulkhead.dev/handles has an empty key; write \"hello\" or \"hello, bye\"");
    } else if (member.key == "bulkhead.dev/methods") {
      manifest.methods = ReadList(text);
      for (const std::string& method : manifest.methods) {
        if (std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end()) continue;
        diagnostics.Add(member.value.at, "bulkhead.dev/methods: \"" + EscapeForTerminal(method) +
                                             "\" is no method of Argo's plugin RPC" + DidYouMean(method, kMethods) +
                                             "; they are template.execute, workflow.preOperate, "
                                             "workflow.postOperate, node.preExecute, node.postExecute and "
                                             "parameters.add");
      }
    } else if (member.key == "bulkhead.dev/minimum-tier") {
      if (text == "strict") {
        manifest.minimum_tier = sandbox::Tier::kStrict;
      } else if (text == "restricted") {
        manifest.minimum_tier = sandbox::Tier::kRestricted;
      } else {
        diagnostics.Add(member.value.at, "bulkhead.dev/minimum-tier must be strict or restricted");
      }
    } else if (member.key == "bulkhead.dev/seccomp-profile") {
      manifest.seccomp_profile = text;
    } else {
      diagnostics.Add(member.at,
                      "unknown annotation \"" + EscapeForTerminal(member.key) + "\"" + DidYouMean(member.key, kKnown));
    }
  }
}

void ReadMetadata(const Value& document, Diagnostics& diagnostics, agent::PluginManifest& manifest) {
  const Value* const metadata = document.Find("metadata");
  if (metadata == nullptr || !metadata->is_object()) {
    diagnostics.Add(document.at, "a plugin needs \"metadata\" with a name");
    return;
  }
  Fields fields(*metadata, "metadata", diagnostics);
  std::string name = fields.RequiredString("name");
  if (KindOf(document) == "ConfigMap" && name.size() > kConfigMapSuffix.size() && name.ends_with(kConfigMapSuffix)) {
    name.erase(name.size() - kConfigMapSuffix.size());
  }
  if (!name.empty() && !IsDnsName(name)) {
    diagnostics.Add(metadata->Find("name")->at,
                    "metadata.name must be a DNS name: lower-case letters, digits, \"-\" and \".\"");
  }
  manifest.name = name;
  if (const Value* annotations = fields.OfKind("annotations", Value::Kind::kObject)) {
    ReadAnnotations(*annotations, diagnostics, manifest);
  }
  for (const std::string_view key : {"labels", "namespace", "creationTimestamp", "uid", "resourceVersion", "generation",
                                     "managedFields", "ownerReferences", "generateName"}) {
    fields.Ignore(key);  // of the API server, without meaning for a plugin
  }
  fields.Done();
}

// --- the two forms -------------------------------------------------------------------------------

void NoticeServiceAccount(agent::PluginManifest& manifest) {
  manifest.notices.emplace_back(
      "automountServiceAccountToken: true is not honoured: there is no cluster whose token could be mounted");
}

void ReadExecutorPlugin(const Value& document, const References& references, Diagnostics& diagnostics,
                        agent::PluginManifest& manifest) {
  Fields fields(document, "ExecutorPlugin", diagnostics);
  const std::string version = fields.RequiredString("apiVersion");
  if (!version.empty() && version != "argoproj.io/v1alpha1") {
    diagnostics.Add(document.Find("apiVersion")->at, "apiVersion must be argoproj.io/v1alpha1");
  }
  fields.Ignore("kind");
  fields.Ignore("metadata");
  ReadMetadata(document, diagnostics, manifest);
  const Value* const spec = fields.OfKind("spec", Value::Kind::kObject);
  fields.Done();
  if (spec == nullptr) return diagnostics.Add(document.at, "ExecutorPlugin needs \"spec\" with a sidecar");
  Fields spec_fields(*spec, "spec", diagnostics);
  const Value* const sidecar = spec_fields.OfKind("sidecar", Value::Kind::kObject);
  spec_fields.Done();
  if (sidecar == nullptr) return diagnostics.Add(spec->at, "spec needs \"sidecar\" with a container");
  Fields sidecar_fields(*sidecar, "sidecar", diagnostics);
  if (sidecar_fields.Bool("automountServiceAccountToken").value_or(false)) NoticeServiceAccount(manifest);
  const Value* const container = sidecar_fields.OfKind("container", Value::Kind::kObject);
  sidecar_fields.Done();
  if (container == nullptr) return diagnostics.Add(sidecar->at, "sidecar needs \"container\"");
  ReadContainer(*container, references, diagnostics, manifest);
}

void ReadPluginConfigMap(const Value& document, const References& references, Diagnostics& diagnostics,
                         agent::PluginManifest& manifest) {
  ReadMetadata(document, diagnostics, manifest);
  const Value* const data = document.Find("data");
  if (data == nullptr || !data->is_object()) return diagnostics.Add(document.at, "the ConfigMap needs \"data\"");
  Fields fields(*data, "data", diagnostics);
  if (fields.String("sidecar.automountServiceAccountToken").value_or("false") == "true") NoticeServiceAccount(manifest);
  const Value* const container = fields.OfKind("sidecar.container", Value::Kind::kString);
  fields.Done();
  if (container == nullptr) return diagnostics.Add(data->at, "data needs \"sidecar.container\", the container's YAML");
  auto inner = ParseYaml(container->text, diagnostics.file() + ": data[\"sidecar.container\"]");
  if (!inner.ok()) return diagnostics.Add(container->at, inner.error().message());
  if (inner->size() != 1) return diagnostics.Add(container->at, "sidecar.container must hold one YAML document");
  // Positions inside count from the text's own first line; they are named as such.
  Diagnostics inner_diagnostics(diagnostics.file() + ": data[\"sidecar.container\"]");
  ReadContainer(inner->front(), references, inner_diagnostics, manifest);
  if (auto status = inner_diagnostics.ToStatus(); !status.ok())
    diagnostics.Add(container->at, status.error().message());
}

// --- what env refers to --------------------------------------------------------------------------

// The containers of a document; those in a ConfigMap's text are parsed.
void CollectContainers(const Document& document, std::vector<Value>& containers) {
  if (IsPluginConfigMap(document.value)) {
    const Value* const data = document.value.Find("data");
    const Value* const text = data == nullptr ? nullptr : data->Find("sidecar.container");
    if (text == nullptr || !text->is_string()) return;
    auto parsed = ParseYaml(text->text, document.file);
    if (parsed.ok() && parsed->size() == 1) containers.push_back(std::move(parsed->front()));
    return;
  }
  const Value* at = &document.value;
  for (const std::string_view key : {"spec", "sidecar", "container"}) {
    at = at->Find(key);
    if (at == nullptr) return;
  }
  containers.push_back(*at);
}

struct Wanted {
  std::set<std::pair<std::string, std::string>> objects;  // kind, name
  bool pod = false;
};

void CollectWanted(const Value& container, Wanted& wanted) {
  const Value* const env = container.Find("env");
  if (env == nullptr || !env->is_array()) return;
  for (const Value& variable : env->items) {
    const Value* const from = variable.Find("valueFrom");
    if (from == nullptr) continue;
    for (const auto& [ref, kind] : {std::pair("secretKeyRef", "Secret"), std::pair("configMapKeyRef", "ConfigMap")}) {
      const Value* const named = from->Find(ref);
      const Value* const name = named == nullptr ? nullptr : named->Find("name");
      if (name != nullptr && IsDnsName(name->text)) wanted.objects.emplace(kind, name->text);
    }
    wanted.pod = wanted.pod || from->Find("fieldRef") != nullptr;
  }
}

// Adds what `documents` refer to and do not hold.
Status Fetch(std::vector<Document>& documents, const ObjectLookup& lookup, References& references) {
  if (!lookup) return OkStatus();
  std::vector<Value> containers;
  for (const Document& document : documents) CollectContainers(document, containers);
  Wanted wanted;
  for (const Value& container : containers) CollectWanted(container, wanted);
  for (const Document& document : documents) wanted.objects.erase({KindOf(document.value), NameOf(document.value)});
  for (const auto& [kind, name] : wanted.objects) {
    BULKHEAD_ASSIGN(std::optional<Value> object, lookup(kind, name));
    if (!object.has_value()) continue;  // an error at the reference, unless that is optional
    object->Set("kind", Value::String(kind));
    documents.push_back({kind + " " + name, std::move(*object)});
  }
  if (wanted.pod) {
    BULKHEAD_ASSIGN(references.pod, lookup("Pod", ""));
  }
  return OkStatus();
}

}  // namespace

Result<std::vector<PluginDocument>> ReadPluginDocuments(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(const std::vector<std::string> files, ExpandYamlPaths(paths));
  std::vector<Document> documents;
  for (const std::string& file : files) {
    BULKHEAD_ASSIGN(const std::string text, ReadInput(file));
    BULKHEAD_ASSIGN(std::vector<Value> parsed, ParseYaml(text, file));
    for (Value& value : parsed) {
      if (!value.is_null()) documents.push_back({file, std::move(value)});
    }
  }
  return documents;
}

namespace {

Status CheckDistinct(const std::vector<agent::PluginManifest>& manifests) {
  std::map<std::string, const agent::PluginManifest*> names;
  std::map<uint16_t, const agent::PluginManifest*> ports;
  for (const agent::PluginManifest& manifest : manifests) {
    const std::string place = Place(manifest.file, manifest.at);
    if (const auto [other, added] = names.emplace(manifest.name, &manifest); !added) {
      return Error(Code::kInvalidInput, place + ": plugin \"" + manifest.name + "\" is defined again; first at " +
                                            Place(other->second->file, other->second->at));
    }
    for (const uint16_t port : manifest.ports) {
      if (const auto [other, added] = ports.emplace(port, &manifest); !added) {
        return Error(Code::kInvalidInput, place + ": port " + std::to_string(port) + " is also asked for by plugin \"" +
                                              other->second->name + "\" at " +
                                              Place(other->second->file, other->second->at) +
                                              "; containers of one pod share their ports");
      }
    }
  }
  return OkStatus();
}

}  // namespace

Result<std::map<std::string, std::string, std::less<>>> LoadSecrets(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(const std::vector<Document> documents, ReadPluginDocuments(paths));
  References references;
  for (const Document& document : documents) {
    if (KindOf(document.value) != "Secret") continue;
    Diagnostics diagnostics(document.file);
    ReadReferences(document, diagnostics, references);
    BULKHEAD_TRY(diagnostics.ToStatus());
  }
  return std::move(references.secrets);
}

Result<std::vector<agent::PluginManifest>> LoadPlugins(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(std::vector<Document> documents, ReadPluginDocuments(paths));
  return ReadPlugins(std::move(documents), {});
}

Result<std::vector<agent::PluginManifest>> ReadPlugins(std::vector<PluginDocument> documents,
                                                       const ObjectLookup& lookup) {
  References references;
  BULKHEAD_TRY(Fetch(documents, lookup, references));
  std::vector<std::string> errors;
  const auto collect = [&](const Diagnostics& diagnostics) {
    if (auto status = diagnostics.ToStatus(); !status.ok()) errors.push_back(status.error().message());
  };
  for (const Document& document : documents) {
    const std::string kind = KindOf(document.value);
    if (kind != "Secret" && (kind != "ConfigMap" || IsPluginConfigMap(document.value))) continue;
    Diagnostics diagnostics(document.file);
    ReadReferences(document, diagnostics, references);
    collect(diagnostics);
  }
  std::vector<agent::PluginManifest> manifests;
  for (const Document& document : documents) {
    const std::string kind = KindOf(document.value);
    const bool config_map = IsPluginConfigMap(document.value);
    Diagnostics diagnostics(document.file);
    agent::PluginManifest manifest;
    manifest.file = document.file;
    manifest.at = document.value.at;
    if (config_map) {
      ReadPluginConfigMap(document.value, references, diagnostics, manifest);
    } else if (kind == "ExecutorPlugin") {
      ReadExecutorPlugin(document.value, references, diagnostics, manifest);
    } else if (kind == "Secret" || kind == "ConfigMap") {
      continue;
    } else {
      diagnostics.Add(document.value.at,
                      "kind \"" + EscapeForTerminal(kind) +
                          "\" is no plugin; ExecutorPlugin, its ConfigMap, Secret and ConfigMap are read here");
    }
    collect(diagnostics);
    manifests.push_back(std::move(manifest));
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, Join(errors, "\n"));
  BULKHEAD_TRY(CheckDistinct(manifests));
  return manifests;
}

}  // namespace bulkhead::source

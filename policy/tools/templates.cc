#include "policy/tools/templates.h"

#include <algorithm>
#include <array>

#include "policy/tools/workspace.h"
#include "runner/base/io.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy::tools {

namespace {

constexpr size_t kMostFileBytes = 4U << 20U;
constexpr std::array<std::string_view, 3> kWithTemplates = {"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate"};

std::string MemberText(const Value& object, std::string_view key) {
  const Value* const value = object.Find(key);
  return value != nullptr && value->is_string() ? value->text : std::string();
}

// The templates of a document; null: it has none to offer.
const Value* TemplatesOf(const Value& document) {
  const std::string kind = MemberText(document, "kind");
  const Value* spec = document.Find("spec");
  if (kind == "CronWorkflow") {
    spec = spec == nullptr ? nullptr : spec->Find("workflowSpec");
  } else if (std::find(kWithTemplates.begin(), kWithTemplates.end(), kind) == kWithTemplates.end()) {
    return nullptr;
  }
  return spec == nullptr ? nullptr : spec->Find("templates");
}

void Collect(const Value& document, const std::string& file, std::vector<KnownTemplate>& out) {
  const Value* const templates = TemplatesOf(document);
  if (templates == nullptr) return;
  const Value* const metadata = document.Find("metadata");
  for (const Value& one : templates->items) {
    const Value* const plugin = one.Find("plugin");
    if (plugin == nullptr) continue;
    for (const Member& key : plugin->members) {
      KnownTemplate& known = out.emplace_back();
      known.plugin = key.key;
      if (metadata != nullptr) known.name_space = MemberText(*metadata, "namespace");
      known.name = MemberText(one, "name");
      if (const Value* const outputs = one.Find("outputs")) known.outputs = *outputs;
      known.place = file + ":" + std::to_string(one.at.line);
    }
  }
}

}  // namespace

Result<std::vector<KnownTemplate>> ReadTemplates(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(const std::vector<std::string> files, YamlFiles(paths));
  std::vector<KnownTemplate> templates;
  std::string errors;
  for (const std::string& file : files) {
    const auto text = ReadFile(file, kMostFileBytes);
    const auto documents = text.ok() ? ParseYaml(*text, file) : Result<std::vector<Value>>(text.error());
    if (!documents.ok()) {
      errors += (errors.empty() ? "" : "\n") + documents.error().message();
      continue;
    }
    for (const Value& document : *documents) Collect(document, file, templates);
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, errors);
  return templates;
}

std::vector<std::pair<std::string, std::string>> DeclaredOutputs(const Value* outputs) {
  std::vector<std::pair<std::string, std::string>> declared;
  if (outputs == nullptr) return declared;
  for (const char* list : {"parameters", "artifacts"}) {
    const Value* const items = outputs->Find(list);
    if (items == nullptr) continue;
    for (const Value& item : items->items) {
      if (std::string name = MemberText(item, "name"); !name.empty()) declared.emplace_back(list, std::move(name));
    }
  }
  return declared;
}

}  // namespace bulkhead::policy::tools

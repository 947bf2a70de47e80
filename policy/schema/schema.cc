#include "policy/schema/schema.h"

#include <algorithm>
#include <array>

#include "policy/schema/tables.h"

namespace bulkhead::policy {

namespace {

constexpr std::array<std::string_view, kRpcCount> kRpcNames = {"template.execute",     "workflow.preOperate",
                                                               "workflow.postOperate", "node.preExecute",
                                                               "node.postExecute",     "parameters.add"};

constexpr std::array<std::string_view, 10> kTypeNames = {"string",  "any-string", "duration", "boolean", "integer",
                                                         "strings", "string-map", "anything", "struct",  "keyed-list"};

struct SetText {
  std::string_view name;
  std::string_view reason;
};
// In the order of ProtectedSet, from its second value on.
constexpr std::array<SetText, 12> kSets = {{
    {"argo.artifact-locations",
     "it would point later steps, with their credentials, at a place of the plugin's choice"},
    {"argo.bounds", "it bounds or gates what the workflow may use"},
    {"argo.code", "it decides what the workflow runs"},
    {"argo.controller-labels", "the controller and Kubernetes keep their own state under this key"},
    {"argo.credentials", "it names an identity or a secret"},
    {"argo.globals", "it would overwrite outputs or variables of the whole workflow"},
    {"argo.identity", "it says which object this is"},
    {"argo.ownership", "it decides when the object is deleted"},
    {"argo.pod-security", "it shapes the pods and what confines them"},
    {"argo.result-only", "a result has a name and a value, nothing else"},
    {"argo.retention", "it decides how long evidence and data are kept"},
    {"argo.status", "it is what the controller has found, not what a plugin may say"},
}};

constexpr std::array<std::string_view, kSets.size()> kSetNames = [] {
  std::array<std::string_view, kSets.size()> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = kSets[i].name;
  return names;
}();

// util/variables/keys of argo-workflows: the first part of every variable that Argo sets itself.
constexpr std::array<std::string_view, 15> kVariableRoots = {
    "workflow",    "inputs",  "outputs",   "steps",  "tasks",    "item",     "pod",
    "node",        "retries", "lastretry", "status", "duration", "exitcode", "resourcesduration",
    "cronworkflow"};

char Lower(char c) {
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool EqualsFolded(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) { return Lower(a) == b; });
}

// workflows.argoproj.io/..., kubernetes.io/..., node.kubernetes.io/..., k8s.io/...
bool IsReservedLabel(std::string_view key) {
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return false;
  std::string_view domain = key.substr(0, slash);
  while (domain.ends_with('.')) domain.remove_suffix(1);
  for (const std::string_view end : {"argoproj.io", "kubernetes.io", "k8s.io"}) {
    if (domain.size() >= end.size() && EqualsFolded(domain.substr(domain.size() - end.size()), end)) return true;
  }
  return false;
}

bool IsReservedVariable(std::string_view key) {
  const std::string_view root = key.substr(0, key.find_first_of(".[ "));
  return root.empty() || std::any_of(kVariableRoots.begin(), kVariableRoots.end(),
                                     [&](std::string_view reserved) { return EqualsFolded(root, reserved); });
}

}  // namespace

std::string_view RpcName(Rpc rpc) {
  return kRpcNames[static_cast<size_t>(rpc)];
}

std::optional<Rpc> RpcByName(std::string_view name) {
  for (size_t i = 0; i < kRpcCount; ++i) {
    if (kRpcNames[i] == name) return static_cast<Rpc>(i);
  }
  return std::nullopt;
}

std::span<const std::string_view> RpcNames() {
  return kRpcNames;
}

std::string_view TypeName(FieldType type) {
  return kTypeNames[static_cast<size_t>(type)];
}

std::string_view SetName(ProtectedSet set) {
  return set == ProtectedSet::kNone ? std::string_view() : kSets[static_cast<size_t>(set) - 1].name;
}

std::string_view SetReason(ProtectedSet set) {
  return set == ProtectedSet::kNone ? std::string_view() : kSets[static_cast<size_t>(set) - 1].reason;
}

std::optional<ProtectedSet> SetByName(std::string_view name) {
  for (size_t i = 0; i < kSets.size(); ++i) {
    if (kSets[i].name == name) return static_cast<ProtectedSet>(i + 1);
  }
  return std::nullopt;
}

std::span<const std::string_view> SetNames() {
  return kSetNames;
}

const FieldSpec* StructSpec::Find(std::string_view field) const {
  // Few enough that a search by halves would not pay.
  for (const FieldSpec& spec : fields) {
    if (spec.name == field) return &spec;
  }
  return nullptr;
}

bool InReply(Rpc rpc, uint16_t leaf) {
  return (RpcsOfLeaves()[leaf] >> static_cast<unsigned>(rpc) & 1U) != 0;
}

ProtectedSet SetOf(const FieldSpec& field, std::string_view key) {
  switch (field.keys) {
    case KeyRule::kNone: break;
    case KeyRule::kLabels:
      if (IsReservedLabel(key)) return ProtectedSet::kControllerLabels;
      break;
    case KeyRule::kVariables:
      if (IsReservedVariable(key)) return ProtectedSet::kGlobals;
      break;
  }
  return field.set;
}

}  // namespace bulkhead::policy

// The reply of `template.execute` as data: every field that Argo's Go types know, its type, and the
// protected set it belongs to. What is not here, Argo does not have.
//
// Source: pkg/plugins/executor/template_executor_plugin.go, pkg/apis/workflow/v1alpha1/task_set_types.go
// and workflow_types.go (NodeResult, Outputs, Parameter, Artifact). Immutable; safe from all threads.
#pragma once

#include <span>
#include <string_view>

namespace bulkhead {

enum class FieldType {
  kString,
  kAnyString,  // Argo's AnyString: a string; integers and booleans are taken as their text
  kDuration,   // metav1.Duration: a string that Go's time.ParseDuration reads
  kBool,
  kInteger,
  kStrings,    // a list of strings; changed only as a whole
  kStringMap,  // any key to a string
  kAnything,   // free form; changed only as a whole
  kStruct,
  kKeyedList,  // a list of structs whose merge key is `name`
};

struct StructSpec;

struct FieldSpec {
  std::string_view name;
  FieldType type = FieldType::kString;
  const StructSpec* child = nullptr;  // kStruct, kKeyedList
  std::string_view guard = {};        // the protected set, e.g. "argo.globals"; empty: a policy may allow it
};

struct StructSpec {
  std::string_view name;  // for messages: "node", "parameter"
  std::span<const FieldSpec> fields;

  const FieldSpec* Find(std::string_view field) const;
};

// {node, requeue}
const StructSpec& ExecuteReplySpec();

}  // namespace bulkhead

// The plugin templates of workflows: what they declare, for the lints of outputs.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::policy::tools {

struct KnownTemplate {
  std::string plugin;      // a key of template.plugin; one entry for each
  std::string name_space;  // of the document; empty: it does not say
  std::string name;
  Value outputs;      // template.outputs
  std::string place;  // "file:line"
};

// Every plugin template of every Workflow, WorkflowTemplate, ClusterWorkflowTemplate and CronWorkflow in files, or in
// folders (and the folders in them) of *.yaml and *.yml; other documents are skipped. All errors in one message.
Result<std::vector<KnownTemplate>> ReadTemplates(const std::vector<std::string>& paths);

// ("parameters" or "artifacts", name) of each output that a template declares under `outputs`, which may be null.
std::vector<std::pair<std::string, std::string>> DeclaredOutputs(const Value* outputs);

}  // namespace bulkhead::policy::tools

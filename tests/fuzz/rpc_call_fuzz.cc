// Calls of Argo's controller to the gateway.
#include "fuzz.h"
#include "runner/gateway/rpc_call.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto method = static_cast<gateway::Method>(data[0] % 6U);
  const auto call = gateway::ReadRpcCall(method, std::string(fuzz::Text(data + 1, size - 1)));
  if (!call.ok()) {
    fuzz::Require(call.error().message().starts_with(gateway::MethodName(method)), "an error names its method");
    return 0;
  }
  fuzz::Require(call->document.is_object() && !call->workflow.name.empty(), "a call has its workflow");
  fuzz::Require(call->body == fuzz::Text(data + 1, size - 1), "the body stays as it came");
  fuzz::Require(call->WorkflowLabels() == nullptr || call->WorkflowLabels()->is_object(), "labels are a mapping");
  const bool has_template = method == gateway::Method::kTemplateExecute || !call->plugin_keys.empty();
  fuzz::Require(!has_template || call->Template() != nullptr, "plugin keys are of a template");
  return 0;
}

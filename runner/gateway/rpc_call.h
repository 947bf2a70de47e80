// One call of Argo's plugin RPC as the gateway got it: which method, about what.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/agent/task.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::gateway {

// `template.execute` is asked by Argo's agent; the others by a controller with the plugins of 2021, carried
// by the release candidates of v3.3.
enum class Method : uint8_t {
  kTemplateExecute,
  kWorkflowPreOperate,
  kWorkflowPostOperate,
  kNodePreExecute,
  kNodePostExecute,
  kParametersAdd,
};
std::string_view MethodName(Method method);  // "template.execute", ...
std::optional<Method> MethodByName(std::string_view name);
inline bool IsHook(Method method) {
  return method != Method::kTemplateExecute;
}

struct RpcCall {
  Method method = Method::kTemplateExecute;
  std::string body;  // as it came
  Value document;
  agent::WorkflowRef workflow;
  std::string template_name;
  std::vector<std::string> plugin_keys;  // the keys of template.plugin
  std::string node;                      // its id; empty for template.execute, which does not say it

  // An object of strings, or null when there is none.
  const Value* WorkflowLabels() const;
  const Value* Template() const { return document.Find("template"); }
};

// kInvalidInput naming what is missing or wrong. Fields that are not known here are left alone: a newer Argo may
// send them.
Result<RpcCall> ReadRpcCall(Method method, std::string body);

}  // namespace bulkhead::gateway

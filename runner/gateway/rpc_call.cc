#include "runner/gateway/rpc_call.h"

#include <array>
#include <utility>

#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::gateway {

namespace {

constexpr std::array<std::string_view, 6> kNames = {"template.execute", "workflow.preOperate", "workflow.postOperate",
                                                    "node.preExecute",  "node.postExecute",    "parameters.add"};

// A caller that was admitted sends what the API server holds, where keys of free-form maps may differ by case only.
constexpr JsonLimits kLimits = {
    .bytes = 8U << 20U, .depth = 128, .values = 500'000, .string_bytes = 8U << 20U, .fold_keys = false};

Error Wrong(Method method, const std::string& what) {
  return Error(Code::kInvalidInput, std::string(MethodName(method)) + ": " + what);
}

std::string TextOf(const Value& object, std::string_view key) {
  const Value* const value = object.Find(key);
  return value != nullptr && value->is_string() ? value->text : "";
}

// The argument, which must be an object.
Result<const Value*> Argument(const RpcCall& call, std::string_view name) {
  const Value* const value = call.document.Find(name);
  if (value == nullptr || !value->is_object())
    return Wrong(call.method, "the request needs \"" + std::string(name) + "\", a mapping");
  return value;
}

Status ReadWorkflow(const Value& workflow, RpcCall& call) {
  const Value* const metadata = workflow.Find("metadata");
  if (metadata == nullptr || !metadata->is_object())
    return Wrong(call.method, "the workflow needs \"metadata\", a mapping");
  call.workflow = {TextOf(*metadata, "name"), TextOf(*metadata, "namespace"), TextOf(*metadata, "uid")};
  if (call.workflow.name.empty()) return Wrong(call.method, "the workflow's metadata needs \"name\"");
  return OkStatus();
}

Status ReadTemplate(RpcCall& call) {
  BULKHEAD_ASSIGN(const Value* const wanted, Argument(call, "template"));
  call.template_name = TextOf(*wanted, "name");
  if (const Value* const plugin = wanted->Find("plugin"); plugin != nullptr) {
    for (const Member& member : plugin->members) call.plugin_keys.push_back(member.key);
  }
  return OkStatus();
}

}  // namespace

std::string_view MethodName(Method method) {
  return kNames[static_cast<size_t>(method)];
}

std::optional<Method> MethodByName(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Method>(i);
  }
  return std::nullopt;
}

const Value* RpcCall::WorkflowLabels() const {
  const Value* object = document.Find("workflow");
  if (object == nullptr) object = document.Find("new");
  const Value* const metadata = object == nullptr ? nullptr : object->Find("metadata");
  const Value* const labels = metadata == nullptr ? nullptr : metadata->Find("labels");
  return labels != nullptr && labels->is_object() ? labels : nullptr;
}

Result<RpcCall> ReadRpcCall(Method method, std::string body) {
  RpcCall call;
  call.method = method;
  JsonParse parsed = ParseJson(body, kLimits);
  if (!parsed.ok) return Wrong(method, "the request is no JSON: " + EscapeForTerminal(parsed.error.message));
  if (!parsed.value.is_object()) return Wrong(method, "the request must be a mapping");
  call.body = std::move(body);
  call.document = std::move(parsed.value);
  if (method == Method::kWorkflowPostOperate) {
    BULKHEAD_TRY(Argument(call, "old"));
    BULKHEAD_ASSIGN(const Value* const after, Argument(call, "new"));
    BULKHEAD_TRY(ReadWorkflow(*after, call));
    return call;
  }
  BULKHEAD_ASSIGN(const Value* const workflow, Argument(call, "workflow"));
  BULKHEAD_TRY(ReadWorkflow(*workflow, call));
  if (method == Method::kWorkflowPreOperate) return call;
  BULKHEAD_TRY(ReadTemplate(call));
  if (method == Method::kNodePreExecute || method == Method::kNodePostExecute) {
    const bool post = method == Method::kNodePostExecute;
    if (post) BULKHEAD_TRY(Argument(call, "old"));
    BULKHEAD_ASSIGN(const Value* const node, Argument(call, post ? "new" : "node"));
    call.node = TextOf(*node, "id");
  }
  return call;
}

}  // namespace bulkhead::gateway

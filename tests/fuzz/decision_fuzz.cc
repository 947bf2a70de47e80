// A decision over all six methods. The first byte chooses the method; what follows is the reply and, behind a NUL, the
// state that was sent. Under policies that allow all that can be allowed, what is applied must be canonical, harmless,
// and a fixed point.
#include "fuzz.h"
#include "policy/policy.h"
#include "runner/base/json.h"

using namespace bulkhead;

namespace {

const policy::PolicySet& Policies() {
  static const policy::PolicySet* const set = [] {
    std::string allow;
    for (const policy::LeafSpec& leaf : policy::Leaves()) {
      if (leaf.field->set != policy::ProtectedSet::kNone || leaf.path == "requeue") continue;
      std::string path(leaf.path);
      for (size_t at = path.find("[]"); at != std::string::npos; at = path.find("[]", at + 3))
        path.replace(at, 2, "[*]");
      allow += "    - {id: r" + std::to_string(allow.size()) + ", path: \"" + path + "\", op: [add, change, remove]}\n";
    }
    auto* const made = new policy::PolicySet;
    const Status loaded = made->Load(
        "apiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicy\nmetadata: {name: all}\nspec:\n  match: {plugin: "
        "{name: "
        "p}, rpc: [template.execute, workflow.preOperate, workflow.postOperate, node.preExecute, node.postExecute, "
        "parameters.add], namespaces: [\"*\"], templates: [\"*\"]}\n  allow:\n"
        "    - {id: requeue, path: requeue, value: {duration: {min: 1s, max: 1h}}}\n" +
            allow +
            "  checks:\n    - {id: c, expr: \"!has(node.message) || size(node.message) < 5000\", message: too long}\n",
        "all.yaml");
    fuzz::Require(loaded.ok(), "the policy of this target loads");
    return made;
  }();
  return *set;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto rpc = static_cast<policy::Rpc>(data[0] % policy::kRpcCount);
  std::string_view reply = fuzz::Text(data + 1, size - 1);
  Value sent = Value::Object();
  if (const size_t end = reply.find('\0'); end != std::string_view::npos) {
    JsonLimits limits;
    limits.fold_keys = false;
    JsonParse parsed = ParseJson(reply.substr(end + 1), limits);
    if (parsed.ok && parsed.value.is_object()) sent = std::move(parsed.value);
    reply = reply.substr(0, end);
  }
  policy::Call call;
  call.subject = {"p", policy::RpcName(rpc), "ns", "wf", "t"};
  call.sent = &sent;
  static policy::Evaluator* const evaluator = new policy::Evaluator;
  const policy::Decision& decision = evaluator->Decide(Policies(), call, reply);
  if (decision.kind != policy::Decision::Kind::kAllowed) {
    fuzz::Require(decision.canonical.empty(), "a refused reply leaves nothing");
    return 0;
  }
  fuzz::Require(decision.refused == 0, "an allowed reply has nothing refused");
  for (const policy::Verdict& verdict : decision.verdicts) {
    for (const policy::ProtectedSet set :
         {policy::ProtectedSet::kGlobals, policy::ProtectedSet::kCode, policy::ProtectedSet::kIdentity}) {
      fuzz::Require(verdict.by.rule != policy::SetName(set), "a protected set allows nothing");
    }
  }
  const std::string canonical(decision.canonical);
  const Value effective = evaluator->Effective();
  fuzz::Require(ToJson(effective) == canonical, "the canonical form reads as itself");
  const Value patch = evaluator->MergePatch();
  call.sent = &effective;
  const policy::Decision& again = evaluator->Decide(Policies(), call, canonical);
  for (const policy::Verdict& verdict : again.verdicts)
    fuzz::Require(verdict.path.empty() || verdict.path == "requeue", "applied again, it changes nothing");
  return 0;
}

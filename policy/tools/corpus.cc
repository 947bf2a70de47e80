#include "policy/tools/corpus.h"

#include <algorithm>
#include <array>
#include <set>

#include "policy/path.h"
#include "policy/schema/schema.h"
#include "policy/tools/leaf_document.h"

namespace bulkhead::policy::tools {

namespace {

// What a glob matches, at its shortest.
std::string FromGlob(const std::string& glob, std::string_view otherwise) {
  std::string text = glob;
  std::erase(text, '*');
  return text.empty() ? std::string(otherwise) : text;
}

struct Raw {
  const char* name;
  const char* aim;
  const char* bytes;
};

// `%N` stands for a node that policies tend to allow.
constexpr std::array kExecuteRaw = std::to_array<Raw>({
    {"duplicate key", "decode.duplicate-key", R"({"node":{"phase":"Failed","phase":"Succeeded"}})"},
    {"duplicate object", "decode.duplicate-key", R"({"node":{"outputs":{"result":"x"}},"node":{"phase":"Succeeded"}})"},
    {"duplicate key after unescaping", "decode.duplicate-key",
     R"({"node":{"phase":"Failed","\u0070hase":"Succeeded"}})"},
    {"key in another case", "decode.wrong-case", R"({"node":{"Phase":"Succeeded"}})"},
    {"key that folds to another", "decode.wrong-case",
     "{\"node\":{\"pha\xC5\xBF"
     "e\":\"Succeeded\"}}"},
    {"escaped key that folds to another", "decode.wrong-case", R"({"node":{"pha\u017fe":"Succeeded"}})"},
    {"key with the Kelvin sign", "decode.unknown-field", "{\"node\":{\"\xE2\x84\xAA\":\"x\"}}"},
    {"unknown field", "decode.unknown-field", R"({"node":{"phase":"Succeeded","surprise":1}})"},
    {"unknown field beside node", "decode.unknown-field", R"({"node":{"phase":"Succeeded"},"status":{}})"},
    {"a second document", "decode.trailing-data", R"({"node":{"phase":"Succeeded"}} {"node":{"phase":"Failed"}})"},
    {"text behind the document", "decode.trailing-data", R"({"node":{"phase":"Succeeded"}}x)"},
    {"byte-order mark", "decode.syntax", "\xEF\xBB\xBF{\"node\":{\"phase\":\"Succeeded\"}}"},
    {"invalid UTF-8", "decode.invalid-utf8", "{\"node\":{\"phase\":\"Succeeded\",\"message\":\"\xFF\"}}"},
    {"overlong UTF-8", "decode.invalid-utf8", "{\"node\":{\"phase\":\"Succeeded\",\"message\":\"\xC0\xAF\"}}"},
    {"lone surrogate", "decode.invalid-utf8", R"({"node":{"phase":"Succeeded","message":"\ud800"}})"},
    {"phase as a number", "decode.wrong-type", R"({"node":{"phase":1}})"},
    {"message as a list", "decode.wrong-type", R"({"node":{"phase":"Succeeded","message":["x"]}})"},
    {"node as a list", "decode.wrong-type", R"({"node":[{"phase":"Succeeded"}]})"},
    {"parameters as a mapping", "decode.wrong-type", R"({"node":{"outputs":{"parameters":{"a":"b"}}}})"},
    {"requeue as a number", "decode.wrong-type", R"({"node":{"phase":"Running"},"requeue":5})"},
    {"requeue that is no duration", "decode.wrong-type", R"({"node":{"phase":"Running"},"requeue":"soon"})"},
    {"comment", "decode.syntax", R"({"node":{"phase":"Succeeded"}/**/})"},
    {"trailing comma", "decode.syntax", R"({"node":{"phase":"Succeeded",}})"},
    {"single quotes", "decode.syntax", R"({'node':{'phase':'Succeeded'}})"},
    {"not a number", "decode.syntax", R"({"node":{"phase":"Succeeded","progress":NaN}})"},
    {"cut off", "decode.syntax", R"({"node":{"phase":"Succeeded")"},
    {"two parameters of one name", "argo.list-keys",
     R"({"node":{"phase":"Succeeded","outputs":{"parameters":[{"name":"a","value":"1"},{"name":"a","value":"2"}]}}})"},
    {"two artifacts of one name", "argo.list-keys",
     R"({"node":{"phase":"Succeeded","outputs":{"artifacts":[{"name":"a"},{"name":"a"}]}}})"},
    {"parameter without a name", "argo.list-keys", R"({"node":{"outputs":{"parameters":[{"value":"1"}]}}})"},
    {"no known phase", "argo.transitions", R"({"node":{"phase":"Done"}})"},
    {"phase in lower case", "argo.transitions", R"({"node":{"phase":"succeeded"}})"},
    {"empty phase", "argo.transitions", R"({"node":{"phase":""}})"},
    {"requeue at once", "argo.transitions", R"({"node":{"phase":"Running"},"requeue":"1ns"})"},
    {"requeue below zero", "argo.transitions", R"({"node":{"phase":"Running"},"requeue":"-1h"})"},
    {"requeue in many years", "argo.transitions", R"({"node":{"phase":"Running"},"requeue":"876000h"})"},
});

constexpr std::array kPostRaw = std::to_array<Raw>({
    {"a node", "decode.unknown-field", R"({"node":{"phase":"Succeeded"}})"},
    {"a workflow", "decode.unknown-field", R"({"workflow":{"metadata":{"labels":{"a":"b"}}}})"},
    {"parameters", "decode.unknown-field", R"({"parameters":{"a":"b"}})"},
    {"text", "decode.syntax", "ok"},
    {"a list", "decode.wrong-type", "[1]"},
});

// Texts that harm wherever they stand: name, text, whether as JSON escapes already.
struct HarmfulText {
  const char* name;
  const char* json;
};
constexpr std::array kHarmful = std::to_array<HarmfulText>({
    {"template", R"({{workflow.name}})"},
    {"expression template", R"({{=1+1}})"},
    {"closing braces", R"(x}})"},
    {"opening braces", R"(x{{)"},
    {"braces as escapes", R"(\u007b\u007bworkflow.name\u007d\u007d)"},
    {"absent-output marker", R"(__argo-internal.absent-optional-output__)"},
    {"placeholder marker", R"(__argo__internal__placeholder-1)"},
    {"NUL", R"(a\u0000b)"},
    {"escape sequence", R"(\u001b[2Jx)"},
    {"bidirectional override", R"(\u202ex)"},
    {"bidirectional isolate", R"(\u2066x)"},
    {"line separator", R"(a\u2028b)"},
    {"paragraph separator", R"(a\u2029b)"},
    {"delete", R"(a\u007fb)"},
});

class CorpusMaker {
 public:
  CorpusMaker(const CallContext& target, const std::vector<Policy>& policies)
      : target_(target), policies_(policies), rpc_(RpcByName(target.rpc).value_or(Rpc::kTemplateExecute)) {}

  std::vector<HostileReply> Make() {
    Protected();
    const bool node = rpc_ == Rpc::kTemplateExecute || rpc_ == Rpc::kNodePreExecute;
    if (node) {
      for (const Raw& raw : kExecuteRaw) {
        const std::string_view bytes = raw.bytes;
        if (rpc_ == Rpc::kNodePreExecute && bytes.find("requeue") != std::string_view::npos) continue;
        Add("decode or guard: " + std::string(raw.name), raw.aim, std::string(bytes));
      }
      Values();
      Transitions();
      Deep();
    }
    if (ReplySpec(rpc_) == nullptr) {
      for (const Raw& raw : kPostRaw) Add("post hook: " + std::string(raw.name), raw.aim, raw.bytes);
    }
    if (rpc_ == Rpc::kParametersAdd) Variables();
    if (rpc_ == Rpc::kWorkflowPreOperate) Labels();
    return std::move(replies_);
  }

 private:
  void Add(std::string name, std::string aim, std::string bytes) {
    replies_.push_back({std::move(name), std::move(aim), target_, std::move(bytes)});
  }

  bool Unprotected(const PathPattern& path) const {
    return std::any_of(policies_.begin(), policies_.end(), [&](const Policy& policy) {
      return std::any_of(policy.unprotect.begin(), policy.unprotect.end(),
                         [&](const Unprotect& one) { return one.path.leaf_id() == path.leaf_id(); });
    });
  }

  // Every leaf of a protected set, alone, under names that rules may have made room for.
  void Protected() {
    const auto leaves = Leaves();
    for (size_t i = 0; i < leaves.size(); ++i) {
      const auto leaf = static_cast<uint16_t>(i);
      const LeafSpec& spec = leaves[i];
      if (!InReply(rpc_, leaf) || spec.field == nullptr || spec.field->set == ProtectedSet::kNone) continue;
      const std::vector<std::string> keys(spec.keys, "evil");
      const std::string path = PathOf(spec, keys);
      const auto parsed = PathPattern::Parse(path);
      if (parsed.path.has_value() && Unprotected(*parsed.path)) continue;
      Add("protected: " + path, std::string(SetName(spec.field->set)),
          ToJson(DocumentWith(spec, keys, Plausible(spec))));
    }
  }

  void Values() {
    for (const HarmfulText& text : kHarmful) {
      const std::string json = text.json;
      const auto add = [&](const std::string& where, const std::string& node) {
        Add("value: " + std::string(text.name) + " in " + where, "argo.values",
            R"({"node":{"phase":"Succeeded",)" + node + "}}");
      };
      add("message", R"("message":")" + json + R"(")");
      add("result", R"("outputs":{"result":")" + json + R"("})");
      for (const std::string& name : Names()) {
        const std::string quoted = ToJson(Value::String(name));
        add("parameter " + name, R"("outputs":{"parameters":[{"name":)" + quoted + R"(,"value":")" + json + R"("}]})");
      }
      add("a parameter's name", R"("outputs":{"parameters":[{"name":")" + json + R"(","value":"1"}]})");
    }
  }

  // Names of parameters that the policies' rules know.
  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const Policy& policy : policies_) {
      for (const Rule& rule : policy.allow) {
        for (const PathPattern::Key& key : rule.path.keys()) names.insert(key.any ? "any" : key.text);
      }
    }
    return names;
  }

  void Transitions() {
    for (const char* before : {"Succeeded", "Failed", "Error", "Skipped", "Omitted"}) {
      for (const char* after : {"Running", "Pending", "Succeeded", "Failed", "Error"}) {
        if (std::string_view(before) == after) continue;
        HostileReply reply{"transition: " + std::string(before) + " to " + after, "argo.transitions", target_,
                           R"({"node":{"phase":")" + std::string(after) + R"("}})"};
        Value node = Value::Object();
        node.Set("phase", Value::String(before));
        reply.context.sent = Value::Object();
        reply.context.sent.Set("node", std::move(node));
        replies_.push_back(std::move(reply));
      }
    }
    HostileReply back{"transition: Running to Pending", "argo.transitions", target_, R"({"node":{"phase":"Pending"}})"};
    Value node = Value::Object();
    node.Set("phase", Value::String("Running"));
    back.context.sent = Value::Object();
    back.context.sent.Set("node", std::move(node));
    replies_.push_back(back);
    back.name = "transition: phase taken back";
    back.bytes = R"({"node":{"phase":null}})";
    replies_.push_back(std::move(back));
  }

  void Deep() {
    constexpr size_t kDepth = 20'000;
    Add("decode or guard: nested deeply", "decode.too-deep", std::string(kDepth, '[') + std::string(kDepth, ']'));
    std::string deep = R"({"node":)";
    for (size_t i = 0; i < kDepth; ++i) deep += R"({"outputs":)";
    Add("decode or guard: nested deeply and cut off", "decode.too-deep", std::move(deep));
    constexpr size_t kLong = 2U << 20U;
    Add("decode or guard: a message of 2 MiB", "argo.values",
        R"({"node":{"phase":"Succeeded","message":")" + std::string(kLong, 'x') + R"("}})");
  }

  // Variables of Argo's own that a plugin could overwrite.
  void Variables() {
    for (const char* name : {"workflow.name",
                             "workflow.namespace",
                             "workflow.serviceAccountName",
                             "workflow.parameters.x",
                             "inputs.parameters.x",
                             "outputs.result",
                             "steps.a.outputs.result",
                             "tasks.a.status",
                             "item",
                             "item.x",
                             "pod.name",
                             "node.name",
                             "retries",
                             "lastRetry.exitCode",
                             "cronworkflow.name",
                             "status",
                             "duration",
                             "exitCode",
                             "resourcesDuration.cpu",
                             "workflow.status",
                             "workflow.labels.a"}) {
      Add("variable: " + std::string(name), "argo.globals", R"({"parameters":{")" + std::string(name) + R"(":"x"}})");
    }
    Add("variable: two of one name", "decode.duplicate-key", R"({"parameters":{"a":"1","a":"2"}})");
    for (const HarmfulText& text : kHarmful)
      Add("value: " + std::string(text.name) + " in a variable", "argo.values",
          R"({"parameters":{"any":")" + std::string(text.json) + R"("}})");
  }

  void Labels() {
    for (const char* label :
         {"workflows.argoproj.io/completed", "workflows.argoproj.io/phase",
          "workflows.argoproj.io/controller-instanceid", "workflows.argoproj.io/workflow-archiving-status",
          "workflows.argoproj.io/creator", "cronworkflows.argoproj.io/x", "app.kubernetes.io/name", "node.k8s.io/x"}) {
      for (const char* map : {"labels", "annotations"}) {
        Add("label: " + std::string(map) + " " + label, "argo.controller-labels",
            R"({"workflow":{"metadata":{")" + std::string(map) + R"(":{")" + label + R"(":"true"}}}})");
      }
    }
  }

  const CallContext& target_;
  const std::vector<Policy>& policies_;
  const Rpc rpc_;
  std::vector<HostileReply> replies_;
};

}  // namespace

std::vector<CallContext> CorpusTargets(const std::vector<Policy>& policies) {
  std::vector<CallContext> targets;
  for (const Policy& policy : policies) {
    for (const std::string& rpc : policy.match.rpcs) {
      CallContext target;
      target.plugin = FromGlob(policy.match.plugin, "plugin");
      target.digest = policy.match.digest;
      target.rpc = rpc;
      target.workflow.Set("name", Value::String("wf"));
      const auto first = [](const std::vector<std::string>& globs, std::string_view otherwise) {
        return FromGlob(globs.empty() ? "" : globs.front(), otherwise);
      };
      target.workflow.Set("namespace", Value::String(first(policy.match.namespaces, "ns")));
      if (!policy.match.workflow_labels.empty()) {
        Value labels = Value::Object();
        for (const auto& [label, glob] : policy.match.workflow_labels)
          labels.Set(label, Value::String(FromGlob(glob, "x")));
        target.workflow.Set("labels", std::move(labels));
      }
      target.tmpl.Set("name", Value::String(first(policy.match.templates, "template")));
      if (rpc == "template.execute" || rpc == "node.preExecute") {
        Value node = Value::Object();
        node.Set("phase", Value::String("Running"));
        target.sent.Set("node", std::move(node));
      }
      targets.push_back(std::move(target));
    }
  }
  return targets;
}

std::vector<HostileReply> HostileCorpus(const CallContext& target, const std::vector<Policy>& policies) {
  return CorpusMaker(target, policies).Make();
}

}  // namespace bulkhead::policy::tools

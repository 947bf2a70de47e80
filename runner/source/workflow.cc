#include "runner/source/workflow.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "runner/base/secret.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"
#include "runner/http/template.h"

namespace bulkhead::source {

namespace {

constexpr std::string_view kNotRun =
    "is not run by `bulkhead run`: it takes plugin and HTTP templates, and `steps` of them with literal arguments";

// Everything but "plugin" and "http" that makes a template do something.
constexpr std::array<std::string_view, 9> kOtherWork = {"container", "script",       "resource", "dag",   "data",
                                                        "suspend",   "containerSet", "steps",    "inline"};

using Parameters = std::map<std::string, std::string, std::less<>>;

// --- metadata -------------------------------------------------------------------------------------

std::string RandomSuffix() {
  std::string suffix(RandomToken(5).Reveal());
  for (char& c : suffix) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return suffix;
}

// A uid in the form of one, the same for the same name: a file that was never in a cluster has none.
std::string MadeUpUid(std::string_view name_space, std::string_view name) {
  const std::string hash = Sha256Hex(std::string(name_space) + "/" + std::string(name));
  return hash.substr(0, 8) + "-" + hash.substr(8, 4) + "-4" + hash.substr(13, 3) + "-8" + hash.substr(17, 3) + "-" +
         hash.substr(20, 12);
}

// The uid of the Workflow that owns a task set.
std::optional<std::string> OwnerUid(const Value& metadata) {
  const Value* const owners = metadata.Find("ownerReferences");
  if (owners == nullptr || !owners->is_array()) return std::nullopt;
  for (const Value& owner : owners->items) {
    const Value* const kind = owner.Find("kind");
    const Value* const uid = owner.Find("uid");
    if (kind != nullptr && kind->text == "Workflow" && uid != nullptr && uid->is_string()) return uid->text;
  }
  return std::nullopt;
}

// A name as the API server would admit it (RFC 1123 subdomain).
bool IsAdmittedName(std::string_view name) {
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 253 && alnum(name.front()) && alnum(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '-' || c == '.'; });
}

agent::WorkflowRef ReadMetadata(const Value& document, bool task_set, Diagnostics& diagnostics) {
  agent::WorkflowRef workflow;
  const Value* const metadata = document.Find("metadata");
  if (metadata == nullptr || !metadata->is_object()) {
    diagnostics.Add(document.at, "the document needs \"metadata\" with a name");
    return workflow;
  }
  const auto text = [&](std::string_view key) -> std::string {
    const Value* const value = metadata->Find(key);
    if (value == nullptr || value->is_null()) return "";
    if (!value->is_string()) {
      diagnostics.Add(value->at, "metadata." + std::string(key) + " must be a string; quote it");
      return "";
    }
    return value->text;
  };
  workflow.name = text("name");
  const std::string generate = text("generateName");
  if (workflow.name.empty() && !generate.empty()) workflow.name = generate + RandomSuffix();
  workflow.name_space = text("namespace");
  if (workflow.name_space.empty()) workflow.name_space = "default";
  workflow.uid = task_set ? OwnerUid(*metadata).value_or("") : text("uid");
  if (workflow.uid.empty()) workflow.uid = MadeUpUid(workflow.name_space, workflow.name);
  if (!IsAdmittedName(workflow.name) || !IsAdmittedName(workflow.name_space)) {
    diagnostics.Add(metadata->at, "metadata needs a name (or generateName) and a namespace that are DNS names");
  }
  return workflow;
}

// --- tasks ----------------------------------------------------------------------------------------

std::string RequestBody(const agent::WorkflowRef& workflow, const Value& plugin_template) {
  std::string body = R"({"workflow":{"metadata":{"name":)";
  AppendJsonString(workflow.name, body);
  body += R"(,"namespace":)";
  AppendJsonString(workflow.name_space, body);
  body += R"(,"uid":)";
  AppendJsonString(workflow.uid, body);
  body += R"(}},"template":)";
  AppendJson(plugin_template, body);
  body += "}";
  return body;
}

std::string TextOf(const Value& object, std::string_view key) {
  const Value* const value = object.Find(key);
  return value != nullptr && value->is_string() ? value->text : "";
}

// Checks that it is a plugin or HTTP template and nothing else, and makes the task.
agent::Task MakeTask(const agent::WorkflowRef& workflow, std::string node, const Value& plugin_template,
                     Diagnostics& diagnostics) {
  agent::Task task;
  task.workflow = workflow;
  task.node = std::move(node);
  task.template_name = TextOf(plugin_template, "name");
  if (!plugin_template.is_object()) {
    diagnostics.Add(plugin_template.at,
                    "a task must be a template (a mapping), not a " + std::string(KindName(plugin_template.kind)));
    return task;
  }
  for (const std::string_view other : kOtherWork) {
    if (const Value* work = plugin_template.Find(other)) {
      diagnostics.Add(work->at, "template \"" + EscapeForTerminal(task.template_name) + "\": " + std::string(other) +
                                    " " + std::string(kNotRun));
    }
  }
  const Value* const plugin = plugin_template.Find("plugin");
  if (const Value* http = plugin_template.Find("http")) {
    if (plugin != nullptr) diagnostics.Add(http->at, "a template is for http or for a plugin, not for both");
    http::ReadHttpTemplate(*http, diagnostics);
    task.http = *http;
    return task;
  }
  if (plugin == nullptr || !plugin->is_object() || plugin->members.size() != 1) {
    diagnostics.Add(plugin == nullptr ? plugin_template.at : plugin->at,
                    "template \"" + EscapeForTerminal(task.template_name) +
                        "\" needs \"plugin\" with exactly one key, the plugin it is for, or \"http\"");
    return task;
  }
  task.plugin_keys.push_back(plugin->members.front().key);
  task.request = RequestBody(workflow, plugin_template);
  return task;
}

LocalSet ReadTaskSet(const Value& document, Diagnostics& diagnostics) {
  LocalSet set;
  set.workflow = ReadMetadata(document, /*task_set=*/true, diagnostics);
  Fields fields(document, "WorkflowTaskSet", diagnostics);
  for (const std::string_view key : {"apiVersion", "kind", "metadata", "status"}) fields.Ignore(key);
  const Value* const spec = fields.OfKind("spec", Value::Kind::kObject);
  fields.Done();
  set.stages.emplace_back();
  if (spec == nullptr) {
    diagnostics.Add(document.at, "WorkflowTaskSet needs \"spec\" with tasks");
    return set;
  }
  Fields spec_fields(*spec, "spec", diagnostics);
  if (const Value* tasks = spec_fields.OfKind("tasks", Value::Kind::kObject)) {
    for (const Member& member : tasks->members) {
      set.stages.front().push_back(MakeTask(set.workflow, member.key, member.value, diagnostics));
    }
  }
  spec_fields.Done();
  if (set.stages.front().empty()) diagnostics.Add(spec->at, "spec.tasks holds no task");
  return set;
}

// --- Workflow -------------------------------------------------------------------------------------

// Replaces {{name}} in every string of a tree by its value.
class Substitution {
 public:
  Substitution(const Parameters& values, Diagnostics& diagnostics) : values_(values), diagnostics_(diagnostics) {}

  void Apply(Value& value) const {
    if (value.is_string()) value.text = Replaced(value.text, value.at);
    for (Value& item : value.items) Apply(item);
    for (Member& member : value.members) {
      member.key = Replaced(member.key, member.at);
      Apply(member.value);
    }
  }

 private:
  std::string Replaced(std::string_view text, Position at) const {
    std::string out;
    for (;;) {
      const size_t open = text.find("{{");
      out += text.substr(0, open);
      if (open == std::string_view::npos) return out;
      const size_t close = text.find("}}", open);
      if (close == std::string_view::npos) {
        diagnostics_.Add(at, "\"{{\" without \"}}\"");
        return out;
      }
      std::string name(text.substr(open + 2, close - open - 2));
      name.erase(0, name.find_first_not_of(" \t"));
      name.erase(name.find_last_not_of(" \t") + 1);
      const auto value = values_.find(name);
      if (value == values_.end()) {
        diagnostics_.Add(at, "{{" + EscapeForTerminal(name) +
                                 "}} cannot be resolved here: known are inputs.parameters.*, "
                                 "workflow.parameters.*, workflow.name, workflow.namespace and workflow.uid");
      } else {
        out += value->second;
      }
      text.remove_prefix(close + 2);
    }
  }

  const Parameters& values_;
  Diagnostics& diagnostics_;
};

class WorkflowReader {
 public:
  WorkflowReader(const Value& document, Diagnostics& diagnostics) : document_(document), diagnostics_(diagnostics) {}

  LocalSet Read() {
    set_.from_workflow = true;
    set_.workflow = ReadMetadata(document_, /*task_set=*/false, diagnostics_);
    const Value* const spec = document_.Find("spec");
    if (spec == nullptr || !spec->is_object()) {
      diagnostics_.Add(document_.at, "Workflow needs \"spec\"");
      return std::move(set_);
    }
    RefuseOthers(*spec, "spec", {"entrypoint", "templates", "arguments"});
    if (const Value* arguments = spec->Find("arguments")) {
      workflow_parameters_ = ReadParameters(*arguments, "workflow.parameters.", "spec.arguments");
    }
    const Value* const entry = FindTemplate(TextOf(*spec, "entrypoint"), *spec, spec->at, "spec.entrypoint");
    if (entry == nullptr) return std::move(set_);
    if (const Value* steps = entry->Find("steps")) {
      RefuseOthers(*entry, "template \"" + TextOf(*entry, "name") + "\"", {"name", "steps", "inputs"});
      ReadSteps(*steps, *spec);
    } else {
      set_.stages.push_back({});
      AddTask(*entry, set_.workflow.name, workflow_parameters_, Parameters());
    }
    return std::move(set_);
  }

 private:
  void RefuseOthers(const Value& object, std::string_view what, std::initializer_list<std::string_view> known) {
    for (const Member& member : object.members) {
      if (std::find(known.begin(), known.end(), member.key) != known.end()) continue;
      diagnostics_.Add(member.at, std::string(what) + "." + EscapeForTerminal(member.key) + " " + std::string(kNotRun));
    }
  }

  const Value* FindTemplate(std::string_view name, const Value& spec, Position at, std::string_view where) {
    std::vector<std::string_view> names;
    if (const Value* templates = spec.Find("templates"); templates != nullptr && templates->is_array()) {
      for (const Value& candidate : templates->items) {
        const Value* const candidate_name = candidate.Find("name");
        if (candidate_name == nullptr) continue;
        if (candidate_name->text == name) return &candidate;
        names.push_back(candidate_name->text);
      }
    }
    diagnostics_.Add(at, std::string(where) + ": no template \"" + EscapeForTerminal(name) + "\" in spec.templates" +
                             DidYouMean(name, names));
    return nullptr;
  }

  // {parameters: [{name, value}]} as a map from `prefix` + name.
  Parameters ReadParameters(const Value& arguments, std::string_view prefix, std::string_view what) {
    Parameters read;
    RefuseOthers(arguments, what, {"parameters"});
    const Value* const list = arguments.Find("parameters");
    if (list == nullptr || !list->is_array()) return read;
    for (const Value& item : list->items) {
      RefuseOthers(item, what, {"name", "value", "default", "description", "enum"});
      const std::string name = TextOf(item, "name");
      const Value* value = item.Find("value");
      if (value == nullptr) value = item.Find("default");
      if (name.empty()) diagnostics_.Add(item.at, std::string(what) + ".parameters: an entry needs a name");
      if (value == nullptr) continue;  // an input that the caller gives
      if (value->is_string() || value->is_number()) {
        read[std::string(prefix) + name] = value->text;
      } else if (value->is_bool()) {
        read[std::string(prefix) + name] = value->boolean ? "true" : "false";
      } else {
        diagnostics_.Add(value->at,
                         std::string(what) + ": the value of \"" + EscapeForTerminal(name) + "\" must be a string");
      }
    }
    return read;
  }

  void ReadSteps(const Value& groups, const Value& spec) {
    if (!groups.is_array()) return diagnostics_.Add(groups.at, "steps must be a list of lists of steps");
    for (size_t group = 0; group < groups.items.size(); ++group) {
      const Value& steps = groups.items[group];
      set_.stages.push_back({});
      if (!steps.is_array()) {
        diagnostics_.Add(steps.at, "steps must be a list of lists of steps (\"- - name: ...\")");
        continue;
      }
      for (const Value& step : steps.items) ReadStep(step, group, spec);
    }
  }

  void ReadStep(const Value& step, size_t group, const Value& spec) {
    RefuseOthers(step, "step", {"name", "template", "arguments"});
    const std::string name = TextOf(step, "name");
    if (name.empty()) diagnostics_.Add(step.at, "a step needs a name");
    const Value* const target =
        FindTemplate(TextOf(step, "template"), spec, step.at, "step \"" + EscapeForTerminal(name) + "\"");
    if (target == nullptr) return;
    Parameters arguments;
    if (const Value* given = step.Find("arguments")) {
      Value resolved = *given;
      Substitution(Globals(), diagnostics_).Apply(resolved);
      arguments = ReadParameters(resolved, "inputs.parameters.", "step arguments");
    }
    const std::string node_name = set_.workflow.name + "[" + std::to_string(group) + "]." + name;
    AddTask(*target, NodeId(set_.workflow.name, node_name), {}, arguments);
  }

  Parameters Globals() const {
    Parameters values = workflow_parameters_;
    values["workflow.name"] = set_.workflow.name;
    values["workflow.namespace"] = set_.workflow.name_space;
    values["workflow.uid"] = set_.workflow.uid;
    return values;
  }

  // `entry_arguments`: the workflow's own, which an entrypoint's inputs take by name.
  void AddTask(const Value& declared, std::string node, const Parameters& entry_arguments,
               const Parameters& arguments) {
    RefuseOthers(declared, "template \"" + TextOf(declared, "name") + "\"",
                 {"name", "plugin", "http", "inputs", "outputs"});
    Value resolved = declared;
    Parameters values = Globals();
    if (Value* const inputs = resolved.Find("inputs")) {
      for (const auto& [name, value] : ReadParameters(*inputs, "inputs.parameters.", "inputs")) values[name] = value;
      for (const auto& [name, value] : arguments) values[name] = value;
      FillInputs(*inputs, entry_arguments, values);
    }
    Substitution(values, diagnostics_).Apply(resolved);
    set_.stages.back().push_back(MakeTask(set_.workflow, std::move(node), resolved, diagnostics_));
  }

  // Writes each input's value into the template, as the controller does before it hands it on.
  void FillInputs(Value& inputs, const Parameters& entry_arguments, Parameters& values) {
    Value* const list = inputs.Find("parameters");
    if (list == nullptr || !list->is_array()) return;
    for (Value& item : list->items) {
      const std::string name = TextOf(item, "name");
      if (const auto given = entry_arguments.find("workflow.parameters." + name); given != entry_arguments.end()) {
        values["inputs.parameters." + name] = given->second;
      }
      const auto value = values.find("inputs.parameters." + name);
      if (value == values.end()) {
        diagnostics_.Add(item.at, "input parameter \"" + EscapeForTerminal(name) +
                                      "\" has no value; give it in the step's arguments");
        continue;
      }
      item.Set("value", Value::String(value->second));
    }
  }

  const Value& document_;
  Diagnostics& diagnostics_;
  LocalSet set_;
  Parameters workflow_parameters_;
};

}  // namespace

LocalSet ReadSet(const Value& document, Diagnostics& diagnostics) {
  const std::string kind = TextOf(document, "kind");
  const std::string version = TextOf(document, "apiVersion");
  if (kind == "WorkflowTaskSet" || kind == "Workflow") {
    if (version != "argoproj.io/v1alpha1") diagnostics.Add(document.at, "apiVersion must be argoproj.io/v1alpha1");
    return kind == "Workflow" ? WorkflowReader(document, diagnostics).Read() : ReadTaskSet(document, diagnostics);
  }
  if (kind == "ExecutorPlugin" || kind == "Secret" || kind == "ConfigMap") {
    diagnostics.Add(document.at, "kind " + kind + " belongs to the plugins: give its file or folder with --plugins");
  } else {
    static constexpr std::array<std::string_view, 2> kKinds = {"WorkflowTaskSet", "Workflow"};
    diagnostics.Add(document.at, "kind \"" + EscapeForTerminal(kind) +
                                     "\" is not run here; WorkflowTaskSet and Workflow are" + DidYouMean(kind, kKinds));
  }
  return {};
}

agent::Task ReadTask(const agent::WorkflowRef& workflow, std::string node, const Value& task_template,
                     Diagnostics& diagnostics) {
  return MakeTask(workflow, std::move(node), task_template, diagnostics);
}

std::string OwnerUidOf(const Value& metadata) {
  return OwnerUid(metadata).value_or("");
}

}  // namespace bulkhead::source

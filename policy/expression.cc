#include "policy/expression.h"

#include <algorithm>

#include "policy/changes.h"
#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

using expr::Field;
using expr::Type;

Type TypeOf(const StructSpec& spec);

Type TypeOf(const FieldSpec& field) {
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kAnyString:
    case FieldType::kDuration: return Type::String();
    case FieldType::kBool: return Type::Bool();
    case FieldType::kInteger: return Type::Int();
    case FieldType::kStrings: return Type::List(Type::String());
    case FieldType::kStringMap: return Type::Map(Type::String(), Type::String());
    case FieldType::kAnything: return Type::Any();
    case FieldType::kStruct: return TypeOf(*field.child);
    case FieldType::kKeyedList: return Type::KeyedList(TypeOf(*field.child), "name");
  }
  return Type::Any();
}

Type TypeOf(const StructSpec& spec) {
  std::vector<Field> fields;
  for (const FieldSpec& field : spec.fields) fields.push_back({std::string(field.name), TypeOf(field), true});
  return Type::Object(std::string(spec.path), std::move(fields));
}

Type TypeOfMember(Rpc rpc, std::string_view member) {
  return TypeOf(*ReplySpec(rpc)->Find(member));
}

// What a workflow is to an expression: its name and namespace, and the state that workflow.preOperate speaks of.
Type WorkflowType(bool old) {
  std::vector<Field> fields;
  if (!old) {
    fields = {{"name", Type::String(), false},
              {"namespace", Type::String(), false},
              {"labels", Type::Map(Type::String(), Type::String()), false}};
  }
  const FieldSpec* const workflow = ReplySpec(Rpc::kWorkflowPreOperate)->Find("workflow");
  for (const FieldSpec& field : workflow->child->fields)
    fields.push_back({std::string(field.name), TypeOf(field), true});
  return Type::Object(old ? "old.workflow" : "workflow", std::move(fields));
}

Type OldType() {
  return Type::Object("old", {{"node", TypeOfMember(Rpc::kTemplateExecute, "node"), true},
                              {"parameters", TypeOfMember(Rpc::kParametersAdd, "parameters"), true},
                              {"workflow", WorkflowType(true), true}});
}

bool AllHave(std::span<const std::string> rpcs, std::string_view member) {
  return !rpcs.empty() && std::all_of(rpcs.begin(), rpcs.end(), [&](const std::string& name) {
    const auto rpc = RpcByName(name);
    const StructSpec* const spec = rpc.has_value() ? ReplySpec(*rpc) : nullptr;
    return spec != nullptr && spec->Find(member) != nullptr;
  });
}

// The place of `source` when it stands in the text as it is: behind `at`, in quotes or not.
std::optional<Position> PlaceInText(std::string_view source, Position at, std::string_view text) {
  for (uint32_t line = 1; line < at.line; ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  const size_t column = at.column == 0 ? 0 : at.column - 1;
  for (const size_t quote : {size_t{0}, size_t{1}}) {
    if (column + quote <= text.size() && text.substr(column + quote).starts_with(source))
      return Position{at.line, static_cast<uint32_t>(column + quote + 1)};
  }
  return std::nullopt;
}

Value Text(std::string_view text) {
  return Value::String(std::string(text));
}

}  // namespace

expr::Environment ExpressionEnvironment(std::span<const std::string> rpcs) {
  std::vector<Field> variables;
  variables.push_back({"node", TypeOfMember(Rpc::kTemplateExecute, "node"), !AllHave(rpcs, "node")});
  variables.push_back({"requeue", Type::String(), true});
  variables.push_back({"parameters", TypeOfMember(Rpc::kParametersAdd, "parameters"), !AllHave(rpcs, "parameters")});
  variables.push_back({"workflow", WorkflowType(false), false});
  variables.push_back({"old", OldType(), false});
  variables.push_back({"template",
                       Type::Object("template", {{"name", Type::String(), false},
                                                 {"inputs", Type::Any(), true},
                                                 {"outputs", Type::Any(), true},
                                                 {"plugin", Type::Any(), true}}),
                       false});
  variables.push_back({"plugin", Type::Object("plugin", {{"name", Type::String(), false}}), false});
  variables.push_back({"rpc", Type::String(), false});
  variables.push_back({"requeues", Type::Int(), false});
  return expr::Environment(std::move(variables));
}

std::optional<Expression> CompileExpression(std::string_view source, Position at, std::string_view text,
                                            std::span<const std::string> rpcs, bool warnings,
                                            Diagnostics& diagnostics) {
  expr::Compiled compiled =
      expr::Compile(source, expr::Dialect::kCel, ExpressionEnvironment(rpcs), expr::Limits(), Type::Bool());
  const auto start = PlaceInText(source, at, text);
  for (const expr::Finding& finding : compiled.findings) {
    if (!finding.is_error() && !warnings) continue;
    Diagnostic problem;
    problem.id = finding.id;
    problem.severity = finding.is_error() ? Severity::kError : Severity::kWarning;
    problem.at = at;
    problem.message = finding.message;
    // The compiler's own sentence may have the nearest name already.
    if (finding.message.find("did you mean") == std::string::npos) problem.hint = finding.fixit;
    if (start.has_value()) {
      problem.at = {start->line, start->column + finding.offset};
      problem.length = finding.length;
    }
    diagnostics.Add(std::move(problem));
  }
  if (!compiled.program.has_value()) return std::nullopt;
  Expression expression;
  expression.source = source;
  expression.at = at;
  expression.program = std::make_shared<const expr::Program>(std::move(*compiled.program));
  return expression;
}

std::vector<std::vector<std::string>> PathsRead(const Expression& expression) {
  return expression.program->PathsRead();
}

void ExpressionInput::Reset(const Call& call, Rpc rpc, const StructSpec* spec, const JsonNode* reply) {
  call_ = &call;
  rpc_ = rpc;
  spec_ = spec;
  reply_ = reply;
  built_ = false;
}

void ExpressionInput::Build() {
  built_ = true;
  std::string text;
  AppendEffective(*spec_, call_->sent, *reply_, text);
  JsonLimits limits;
  limits.bytes = limits.string_bytes = limits.values = SIZE_MAX;
  limits.fold_keys = false;
  effective_ = ParseJson(text, limits).value;
  const Value* const changed = effective_.Find("workflow");
  workflow_ = changed == nullptr ? Value::Object() : *changed;
  workflow_.Set("name", Text(call_->subject.workflow));
  workflow_.Set("namespace", Text(call_->subject.name_space));
  workflow_.Set("labels",
                call_->subject.workflow_labels == nullptr ? Value::Object() : *call_->subject.workflow_labels);
  old_ = call_->sent == nullptr || !call_->sent->is_object() ? Value::Object() : *call_->sent;
  template_ =
      call_->template_spec == nullptr || !call_->template_spec->is_object() ? Value::Object() : *call_->template_spec;
  template_.Set("name", Text(call_->subject.template_name));
  plugin_ = Value::Object();
  plugin_.Set("name", Text(call_->subject.plugin));
  name_ = Text(RpcName(rpc_));
  requeues_ = Value::Number(call_->requeues);
  const auto member = [&](std::string_view key) {
    const Value* const found = effective_.Find(key);
    return found == nullptr ? expr::Ref() : expr::RefTo(*found);
  };
  bindings_ = {member("node"),         member("requeue"),  member("parameters"),
               expr::RefTo(workflow_), expr::RefTo(old_),  expr::RefTo(template_),
               expr::RefTo(plugin_),   expr::RefTo(name_), expr::RefTo(requeues_)};
  // A reply may leave nothing of its own member, which is an empty one then.
  static const Value kEmpty = Value::Object();
  if (!bindings_[0].bound() && spec_->Find("node") != nullptr) bindings_[0] = expr::RefTo(kEmpty);
  if (!bindings_[2].bound() && spec_->Find("parameters") != nullptr) bindings_[2] = expr::RefTo(kEmpty);
}

ExpressionInput::Truth ExpressionInput::Evaluate(const Expression& expression) {
  if (!built_) Build();
  const expr::Truth truth = expression.program->Decide(bindings_);
  Truth result;
  result.ok = truth.ok;
  result.value = truth.value;
  if (!truth.ok) {
    result.failure = std::string(expr::FaultName(truth.failure.fault)) + ": " + truth.failure.message;
  }
  return result;
}

}  // namespace bulkhead::policy

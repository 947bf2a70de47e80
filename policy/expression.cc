#include "policy/expression.h"

namespace bulkhead::policy {

std::optional<Expression> CompileExpression(std::string_view /*source*/, Position at, Diagnostics& diagnostics) {
  diagnostics.Add(at, "expressions are not supported yet; remove it");
  return std::nullopt;
}

void ExpressionInput::Reset(const Call& call, const StructSpec* spec, const JsonNode* reply) {
  call_ = &call;
  spec_ = spec;
  reply_ = reply;
  built_ = false;
}

void ExpressionInput::Build() {
  built_ = true;
}

ExpressionInput::Truth ExpressionInput::Evaluate(const Expression& /*expression*/) {
  if (!built_) Build();
  return {false, false, "expressions are not supported yet"};
}

}  // namespace bulkhead::policy

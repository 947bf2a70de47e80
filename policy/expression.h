// Expressions of policies: `checks` and `when`. Internal to policy/.
//
// They read the state after the reply (`node`, `requeue`, `parameters`, `workflow.metadata`, `workflow.spec`), what was
// sent (`old`, of the same form), and the call (`workflow.name`, `workflow.namespace`, `workflow.labels`, `template`,
// `plugin`, `rpc`, `requeues`).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/policy.h"
#include "policy/rules.h"
#include "runner/base/diagnostic.h"
#include "runner/base/json_document.h"

namespace bulkhead::policy {

// What is wrong goes to `diagnostics`, at its place in the file as far as the expression stands on one line there.
std::optional<Expression> CompileExpression(std::string_view source, Position at, Diagnostics& diagnostics);

// The documents that the expressions of one decision read; made when the first of them is evaluated.
class ExpressionInput {
 public:
  // Borrows all of it.
  void Reset(const Call& call, const StructSpec* spec, const JsonNode* reply);

  struct Truth {
    bool ok = false;
    bool value = false;
    std::string failure;  // when !ok: why, without any value
  };
  Truth Evaluate(const Expression& expression);

 private:
  void Build();

  const Call* call_ = nullptr;
  const StructSpec* spec_ = nullptr;
  const JsonNode* reply_ = nullptr;
  bool built_ = false;
  std::vector<Value> documents_;  // in the order of the environment's variables
};

}  // namespace bulkhead::policy

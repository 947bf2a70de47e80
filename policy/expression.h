// Expressions of policies: `checks` and `when`. Internal to policy/, but for the environment, which tools show.
//
// They read the state after the reply (`node`, `requeue`, `parameters`, `workflow.metadata`, `workflow.spec`), what was
// sent (`old`, with the same fields), and the call (`workflow.name`, `workflow.namespace`, `workflow.labels`,
// `template`, `plugin.name`, `rpc`, `requeues`).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "policy/expr/program.h"
#include "policy/policy.h"
#include "policy/rules.h"
#include "runner/base/diagnostic.h"
#include "runner/base/json_document.h"

namespace bulkhead::policy {

// The variables of expressions in a policy for these methods: what every one of them has is there, the rest is
// optional, so that has() must be asked first.
expr::Environment ExpressionEnvironment(std::span<const std::string> rpcs);

// What is wrong goes to `diagnostics`: errors and, with `warnings`, warnings; each at its place in `text`, the text of
// the file, when the expression stands there as it is, else at `at`, where its scalar begins.
std::optional<Expression> CompileExpression(std::string_view source, Position at, std::string_view text,
                                            std::span<const std::string> rpcs, bool warnings, Diagnostics& diagnostics);

// expr::Program::PathsRead, for tools.
std::vector<std::vector<std::string>> PathsRead(const Expression& expression);

// The documents that the expressions of one decision read; made when the first of them is evaluated.
class ExpressionInput {
 public:
  // Borrows all of it until the next Reset.
  void Reset(const Call& call, Rpc rpc, const StructSpec* spec, const JsonNode* reply);

  struct Truth {
    bool ok = false;
    bool value = false;
    std::string failure;  // when !ok: why, without any value
  };
  Truth Evaluate(const Expression& expression);

 private:
  void Build();

  const Call* call_ = nullptr;
  Rpc rpc_ = Rpc::kTemplateExecute;
  const StructSpec* spec_ = nullptr;
  const JsonNode* reply_ = nullptr;
  bool built_ = false;
  Value effective_, workflow_, plugin_, name_, requeues_, old_, template_;
  std::vector<expr::Ref> bindings_;  // in the order of the environment's variables
};

}  // namespace bulkhead::policy

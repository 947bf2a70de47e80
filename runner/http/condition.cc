#include "runner/http/condition.h"

#include "policy/expr/success_condition.h"
#include "runner/base/text.h"

namespace bulkhead::http {

struct Condition::State {
  expr::Program program;
};

Result<Condition> Condition::Compile(std::string_view source) {
  expr::Compiled compiled = expr::CompileSuccessCondition(source);
  if (compiled.program.has_value())
    return Condition(std::string(source), std::make_shared<const State>(State{std::move(*compiled.program)}));
  std::vector<std::string> errors;
  for (const expr::Finding& finding : compiled.findings) {
    if (finding.is_error()) errors.push_back("at byte " + std::to_string(finding.offset) + ": " + finding.message);
  }
  return Error(Code::kInvalidInput, Join(errors, "; "));
}

Result<bool> Condition::Holds(const Exchange& exchange) const {
  expr::HttpExchange view;
  view.method = exchange.method;
  view.url = exchange.url;
  view.body = exchange.request_body;
  view.body_bytes = exchange.request_body;
  view.request_headers = *exchange.request_headers;
  view.status_code = exchange.status;
  view.response_body = exchange.response_body;
  view.response_headers = *exchange.response_headers;
  const expr::Truth truth = expr::EvaluateSuccessCondition(state_->program, view);
  if (truth.ok) return truth.value;
  return Error(Code::kInvalidInput, truth.failure.message);
}

}  // namespace bulkhead::http

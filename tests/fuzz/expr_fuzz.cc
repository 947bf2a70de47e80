// The first byte chooses the dialect, the rest is an expression. It is evaluated over a small document.
#include <array>

#include "fuzz.h"
#include "policy/expr/program.h"
#include "policy/expr/success_condition.h"

using namespace bulkhead;
using namespace bulkhead::expr;

namespace {

Value Document() {
  Value parameter = Value::Object();
  parameter.Set("name", Value::String("ts"));
  parameter.Set("value", Value::String("17"));
  Value parameters = Value::Array();
  parameters.items.push_back(parameter);
  Value document = Value::Object();
  document.Set("phase", Value::String("Succeeded"));
  document.Set("message", Value::Null());
  document.Set("parameters", parameters);
  document.Set("count", Value::Number(3));
  document.Set("any", document);
  return document;
}

const Environment& PolicyEnvironment() {
  static const Environment environment({
      {"node", Type::Object("node", {{"phase", Type::String()},
                                     {"message", Type::String(), true},
                                     {"parameters", Type::KeyedList(Type::Any(), "name"), true},
                                     {"count", Type::Int()},
                                     {"any", Type::Any(), true}})},
      {"old", Type::Any(), true},
  });
  return environment;
}

HttpExchange Exchange() {
  HttpExchange exchange;
  exchange.method = "GET";
  exchange.url = "http://h/";
  exchange.status_code = 200;
  exchange.response_body = R"({"a":[1,2.5,null,"x"]})";
  exchange.response_headers = {{"content-type", "text/plain"}};
  return exchange;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool cel = data[0] % 2 == 0;
  const std::string_view source = fuzz::Text(data + 1, size - 1);
  Limits limits;
  limits.cost = 200'000;
  limits.refuse_by_bound = false;
  const Compiled compiled = Compile(source, cel ? Dialect::kCel : Dialect::kExpr,
                                    cel ? PolicyEnvironment() : SuccessConditionEnvironment(), limits);
  for (const Finding& finding : compiled.findings) {
    fuzz::Require(size_t{finding.offset} + finding.length <= source.size(), "a finding lies within its source");
    fuzz::Require(!Render(source, finding).empty(), "a finding can be shown");
  }
  fuzz::Require(compiled.program.has_value() == !HasErrors(compiled.findings), "a program or an error");
  if (!compiled.program.has_value()) return 0;
  if (!cel) {
    const Truth truth = EvaluateSuccessCondition(*compiled.program, Exchange());
    fuzz::Require(truth.cost <= compiled.program->cost_bound(), "the bound holds");
    fuzz::Require(truth.ok || !truth.value, "a failure is no yes");
    return 0;
  }
  static const Value document = Document();
  const std::array<Ref, 2> bindings = {RefTo(document), Ref{}};
  const Outcome first = compiled.program->Evaluate(bindings);
  const Outcome second = compiled.program->Evaluate(bindings);
  fuzz::Require(first.ok == second.ok && first.cost == second.cost, "the same input gives the same outcome");
  fuzz::Require(ToJson(first.value) == ToJson(second.value), "the same input gives the same value");
  fuzz::Require(first.cost <= compiled.program->cost_bound(), "the bound holds");
  return 0;
}

// What the tests of expressions share: the environment and the documents of the tables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/expr/program.h"
#include "policy/expr/success_condition.h"

namespace bulkhead::expr {

Value Json(std::string_view text);

struct Row {
  std::string source;
  Value expected;     // the row: e, and is, fails or refused
  std::string place;  // "cel.jsonl:12"
};
std::vector<Row> ReadTable(const std::string& name);

struct Fixture {
  Dialect dialect = Dialect::kCel;
  Environment environment;
  Limits limits;
  Value document;

  // One binding a variable, in order; a variable that the document lacks is not bound.
  std::vector<Ref> Bindings() const;
  Compiled Compile(std::string_view source) const;
};
Fixture CelFixture();
Fixture ExprFixture();

}  // namespace bulkhead::expr

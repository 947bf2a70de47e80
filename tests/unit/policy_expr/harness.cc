#include <gtest/gtest.h>

#include <fstream>

#include "runner/base/json.h"
#include "table.h"

namespace bulkhead::expr {

Value Json(std::string_view text) {
  JsonParse parsed = ParseJson(text);
  EXPECT_TRUE(parsed.ok) << text << ": " << parsed.error.message;
  return std::move(parsed.value);
}

std::vector<Row> ReadTable(const std::string& name) {
  std::ifstream file(std::string(EXPR_TABLES) + "/" + name);
  EXPECT_TRUE(file.good()) << name;
  std::vector<Row> rows;
  std::string line;
  for (size_t number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    Row row;
    row.expected = Json(line);
    row.source = row.expected.Find("e")->text;
    row.place = name + ":" + std::to_string(number);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<Ref> Fixture::Bindings() const {
  std::vector<Ref> bindings;
  for (const Field& variable : environment.variables()) {
    const Value* const value = document.Find(variable.name);
    bindings.push_back(value == nullptr ? Ref{} : RefTo(*value));
  }
  return bindings;
}

Compiled Fixture::Compile(std::string_view source) const {
  return expr::Compile(source, dialect, environment, limits);
}

Fixture CelFixture() {
  const Type s3 = Type::Object("s3", {{"key", Type::String()}, {"bucket", Type::String(), true}});
  const Type artifact = Type::Object("artifact", {{"name", Type::String()}, {"s3", s3, true}});
  const Type parameter = Type::Object("parameter", {{"name", Type::String()}, {"value", Type::String(), true}});
  const Type outputs = Type::Object("outputs", {{"result", Type::String(), true},
                                                {"parameters", Type::KeyedList(parameter, "name", 16), true},
                                                {"artifacts", Type::KeyedList(artifact, "name", 16), true}});
  const Type node = Type::Object(
      "node", {{"phase", Type::String(64)}, {"message", Type::String(), true}, {"outputs", outputs, true}});
  const Type labels = Type::Map(Type::String(64), Type::String(64), 32);
  Fixture fixture;
  fixture.environment = Environment({
      {"node", node},
      {"requeue", Type::String(32), true},
      {"workflow", Type::Object("workflow", {{"name", Type::String(64)}, {"labels", labels}})},
      {"x", Type::Int()},
      {"d", Type::Double()},
      {"s", Type::String(100)},
      {"b", Type::Bool()},
      {"l", Type::List(Type::Int(), 10)},
      {"ls", Type::List(Type::String(20), 10)},
      {"m", Type::Map(Type::String(20), Type::Int(), 10)},
      {"a", Type::Any()},
      {"raw", Type::Bytes(100)},
  });
  fixture.document = Json(R"({
    "node": {"phase": "Succeeded", "message": null, "outputs": {
      "parameters": [{"name": "ts", "value": "17.5"}, {"name": "n", "value": "3"}],
      "artifacts": [{"name": "model", "s3": {"key": "models/wf-1/a"}}]}},
    "requeue": "90s",
    "workflow": {"name": "wf-1", "labels": {"team": "ml", "a.b/c": "1"}},
    "x": 7, "d": 2.5, "s": "héllo", "b": true, "l": [1, 2, 3], "ls": ["a", "bc"],
    "m": {"one": 1, "two": 2}, "a": {"k": [1, 2.5, "t", null, true]}, "raw": "abc"})");
  return fixture;
}

Fixture ExprFixture() {
  Fixture fixture;
  fixture.dialect = Dialect::kExpr;
  fixture.environment = SuccessConditionEnvironment();
  fixture.limits = SuccessConditionLimits();
  fixture.document = Json(R"({
    "request": {"method": "POST", "url": "http://example.com/x", "body": "hello", "bodyBytes": "hi",
                "headers": {"Accept": ["a/b", "c/d"]}},
    "response": {"statusCode": 201, "body": "{\"ok\":true,\"items\":[1,2,3],\"name\":\"Ann\"}",
                 "headers": {"Content-Type": ["application/json"], "Set-Cookie": ["a=1", "b=2"]}}})");
  return fixture;
}

}  // namespace bulkhead::expr

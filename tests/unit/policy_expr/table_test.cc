// The conformance tables of both dialects.
#include "table.h"

#include <gtest/gtest.h>

namespace bulkhead::expr {
namespace {

std::vector<std::string> ErrorIds(const Compiled& compiled) {
  std::vector<std::string> ids;
  for (const Finding& finding : compiled.findings) ids.push_back(finding.id);
  return ids;
}

std::vector<std::string> Texts(const Value& list) {
  std::vector<std::string> texts;
  for (const Value& item : list.items) texts.push_back(item.text);
  return texts;
}

void Check(const Fixture& fixture, const Row& row) {
  SCOPED_TRACE(row.place + ": " + row.source);
  const Compiled compiled = fixture.Compile(row.source);
  if (const Value* const refused = row.expected.Find("refused")) {
    EXPECT_FALSE(compiled.program.has_value());
    EXPECT_EQ(ErrorIds(compiled), Texts(*refused));
    return;
  }
  ASSERT_TRUE(compiled.program.has_value())
      << (compiled.findings.empty() ? "" : Render(row.source, compiled.findings[0]));
  const Outcome outcome = compiled.program->Evaluate(fixture.Bindings());
  EXPECT_LE(outcome.cost, compiled.program->cost_bound());
  if (const Value* const fault = row.expected.Find("fails")) {
    EXPECT_FALSE(outcome.ok) << ToJson(outcome.value);
    EXPECT_EQ(FaultName(outcome.failure.fault), fault->text) << outcome.failure.message;
    return;
  }
  EXPECT_TRUE(outcome.ok) << outcome.failure.message;
  EXPECT_EQ(ToJson(outcome.value), ToJson(*row.expected.Find("is")));
}

TEST(ExprTableTest, TheCelSubsetGivesWhatItsSpecificationSays) {
  const Fixture fixture = CelFixture();
  const std::vector<Row> rows = ReadTable("cel.jsonl");
  EXPECT_GE(rows.size(), 400U) << "cases were lost";
  for (const Row& row : rows) Check(fixture, row);
}

TEST(ExprTableTest, ExprLangGivesWhatArgosAgentWouldSee) {
  const Fixture fixture = ExprFixture();
  const std::vector<Row> rows = ReadTable("expr.jsonl");
  EXPECT_GE(rows.size(), 400U) << "cases were lost";
  for (const Row& row : rows) Check(fixture, row);
}

}  // namespace
}  // namespace bulkhead::expr

#include <filesystem>
#include <set>

#include "policy/tools/diagnostic_report.h"
#include "policy/tools/json_schema.h"
#include "policy/tools/lint_ids.h"
#include "runner/base/io.h"
#include "runner/base/json.h"
#include "tests/unit/policy_tools/support.h"

namespace bulkhead::policy::tools {
namespace {

std::vector<Diagnostic> Two() {
  Diagnostic error;
  error.id = "E003";
  error.file = "a,b.yaml";
  error.at = {2, 3};
  error.length = 4;
  error.message = "unknown field \"alow\"";
  error.hint = "allow";
  Diagnostic warning;
  warning.id = "W042";
  warning.severity = Severity::kWarning;
  warning.file = "a,b.yaml";
  warning.message = "100% unpinned\nreally";
  return {error, warning};
}

TEST(DiagnosticReport, PrettyShowsTheLineAndCounts) {
  const Sources sources = {{"a,b.yaml", "spec:\n  alow: []\n"}};
  const std::string out = RenderAll(Two(), sources, DiagnosticFormat::kPretty);
  EXPECT_EQ(out.rfind("a,b.yaml:2:3: error[E003]: unknown field \"alow\" (did you mean \"allow\"?)\n"
                      "    alow: []\n"
                      "    ^~~~\n",
                      0),
            0U)
      << out;
  EXPECT_TRUE(out.ends_with("1 error, 1 warning\n")) << out;
}

TEST(DiagnosticReport, GithubCommandsAreEscaped) {
  EXPECT_EQ(RenderAll(Two(), {}, DiagnosticFormat::kGithub),
            "::error file=a%2Cb.yaml,line=2,col=3,title=E003::unknown field \"alow\" (did you mean \"allow\"?)\n"
            "::warning file=a%2Cb.yaml,title=W042::100%25 unpinned\\nreally\n");
}

TEST(DiagnosticReport, SarifHasRulesAndRegions) {
  const JsonParse parsed = ParseJson(RenderAll(Two(), {}, DiagnosticFormat::kSarif));
  ASSERT_TRUE(parsed.ok) << parsed.error.message;
  EXPECT_EQ(parsed.value.Find("version")->text, "2.1.0");
  const Value& run = parsed.value.Find("runs")->items[0];
  EXPECT_EQ(run.Find("tool")->Find("driver")->Find("rules")->items.size(), 2U);
  const Value& first = run.Find("results")->items[0];
  EXPECT_EQ(first.Find("ruleId")->text, "E003");
  EXPECT_EQ(first.Find("level")->text, "error");
  const Value& place = *first.Find("locations")->items[0].Find("physicalLocation");
  EXPECT_EQ(place.Find("region")->Find("endColumn")->text, "7");
  EXPECT_EQ(run.Find("results")->items[1].Find("locations")->items[0].Find("physicalLocation")->Find("region"),
            nullptr);
}

TEST(DiagnosticReport, JsonHasEachField) {
  const JsonParse parsed = ParseJson(RenderAll(Two(), {}, DiagnosticFormat::kJson));
  ASSERT_TRUE(parsed.ok);
  const Value& first = parsed.value.Find("diagnostics")->items[0];
  EXPECT_EQ(first.Find("hint")->text, "allow");
  EXPECT_EQ(first.Find("line")->text, "2");
}

TEST(LintIds, AreUniqueAndSayWhatToDo) {
  std::set<std::string_view> ids;
  for (const LintId& one : LintIds()) {
    EXPECT_TRUE(ids.insert(one.id).second) << one.id;
    EXPECT_FALSE(one.what.empty() || one.instead.empty()) << one.id;
  }
  EXPECT_GT(ids.size(), 50U);
}

// Whether a JSON Schema as ours (no more than the keywords that we use) admits a document.
bool Admits(const Value& schema, const Value& root, const Value& value) {
  if (const Value* ref = schema.Find("$ref"))
    return Admits(*root.Find("definitions")->Find(ref->text.substr(std::string("#/definitions/").size())), root, value);
  if (const Value* any = schema.Find("anyOf")) {
    bool one = false;
    for (const Value& option : any->items) {
      // Patterns are an editor's business; here they admit any string.
      one = one || option.Find("pattern") != nullptr || Admits(option, root, value);
    }
    if (!one) return false;
  }
  if (const Value* choices = schema.Find("enum")) {
    bool one = false;
    for (const Value& choice : choices->items) one = one || choice.text == value.text;
    if (!one) return false;
  }
  const Value* const type = schema.Find("type");
  if (type != nullptr && type->is_array()) {
    if (!value.is_null() && !value.is_object()) return false;
  } else if (type != nullptr) {
    if (type->text == "string" && !value.is_string()) return false;
    if (type->text == "array" && !value.is_array()) return false;
    if (type->text == "object" && !value.is_object()) return false;
    if (type->text == "boolean" && !value.is_bool()) return false;
    if ((type->text == "integer" || type->text == "number") && !value.is_number()) return false;
  }
  if (const Value* items = schema.Find("items")) {
    for (const Value& item : value.items) {
      if (!Admits(*items, root, item)) return false;
    }
  }
  if (const Value* required = schema.Find("required")) {
    for (const Value& key : required->items) {
      if (value.Find(key.text) == nullptr) return false;
    }
  }
  const Value* const properties = schema.Find("properties");
  if (properties == nullptr) return true;
  for (const Member& member : value.members) {
    const Value* const property = properties->Find(member.key);
    if (property == nullptr || !Admits(*property, root, member.value)) return false;
  }
  return true;
}

TEST(JsonSchema, AdmitsWhatTheLoaderAdmitsAndNoUnknownField) {
  const Value schema = PolicySchema();
  const std::string good = PolicyText("    - {id: a, path: node.phase, value: {enum: [Failed]}}\n",
                                      "  limits: {items: 4}\n  deny:\n    - {id: d, path: requeue, message: m}\n");
  EXPECT_TRUE(Admits(schema, schema, (*ParseYaml(good, "p")).at(0)));
  std::string bad = good;
  bad.replace(bad.find("limits"), 6, "limit_");
  EXPECT_FALSE(Admits(schema, schema, (*ParseYaml(bad, "p")).at(0)));
  bad = good;
  bad.replace(bad.find("enum"), 4, "eNum");
  EXPECT_FALSE(Admits(schema, schema, (*ParseYaml(bad, "p")).at(0)));
}

TEST(JsonSchema, AdmitsTheExamples) {
  size_t seen = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(BULKHEAD_ROOT "/policy/examples")) {
    if (entry.path().extension() != ".yaml") continue;
    const auto text = ReadFile(entry.path(), 1U << 20U);
    ASSERT_TRUE(text.ok());
    const auto documents = ParseYaml(*text, "e");
    ASSERT_TRUE(documents.ok());
    const Value schema = IsTestDocument((*documents)[0]) ? TestSchema() : PolicySchema();
    EXPECT_TRUE(Admits(schema, schema, (*documents)[0])) << entry.path();
    ++seen;
  }
  EXPECT_EQ(seen, 10U);
}

}  // namespace
}  // namespace bulkhead::policy::tools

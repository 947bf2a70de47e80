// What holds for every program: bounds, determinism, threads, documents of any representation.
#include "policy/expr/program.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include "runner/base/text.h"
#include "table.h"

namespace bulkhead::expr {
namespace {

std::string Repeat(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

std::string FirstMessage(const Compiled& compiled) {
  return compiled.findings.empty() ? "" : compiled.findings[0].message;
}

// --- nesting ----------------------------------------------------------------------------------------

TEST(ExprProgramTest, DeepNestingIsRefusedAndNotFollowed) {
  const size_t many = 1500;  // fits the bound on the source's length
  const struct {
    Fixture fixture;
    std::string source;
  } cases[] = {
      {CelFixture(), Repeat("(", many) + "1" + Repeat(")", many)},
      {CelFixture(), Repeat("[", many) + Repeat("]", many)},
      {CelFixture(), Repeat("!", many) + "b"},
      {CelFixture(), Repeat("-", many) + "1"},
      {CelFixture(), "x" + Repeat("+x", many)},
      {CelFixture(), Repeat("b?b:", 1000) + "b"},
      {CelFixture(), "a" + Repeat(".k", many)},
      {CelFixture(), "a" + Repeat("[0]", 1300)},
      {CelFixture(), Repeat("{1:", 1000) + "1" + Repeat("}", 1000)},
      {CelFixture(), Repeat("int(", 900) + "1"},
      {ExprFixture(), Repeat("2**", 1300) + "2"},
      {ExprFixture(), Repeat("not ", 1000) + "true"},
      {ExprFixture(), Repeat("let a = 1; ", 360) + "a"},
      {ExprFixture(), Repeat("if true {1} else ", 230) + "{1}"},
      {ExprFixture(), Repeat("all([1], ", 440) + "true"},
      {ExprFixture(), "1" + Repeat("|int()", 660)},
      {ExprFixture(), "nil" + Repeat("??nil", 800)},
      {ExprFixture(), "1" + Repeat("?:1", 1300)},
  };
  for (const auto& test : cases) {
    const Compiled compiled = test.fixture.Compile(test.source);
    EXPECT_FALSE(compiled.program.has_value()) << test.source.substr(0, 40);
    ASSERT_FALSE(compiled.findings.empty()) << test.source.substr(0, 40);
    EXPECT_EQ(compiled.findings[0].id, "E067") << test.source.substr(0, 40) << FirstMessage(compiled);
  }
}

TEST(ExprProgramTest, LongRowsOfOneLogicalOperatorAreNoNesting) {
  const Compiled compiled = CelFixture().Compile("x == 0" + Repeat(" || x == 7", 150));
  ASSERT_TRUE(compiled.program.has_value()) << FirstMessage(compiled);
  const Fixture fixture = CelFixture();
  EXPECT_TRUE(compiled.program->Decide(fixture.Bindings()).value);
}

TEST(ExprProgramTest, RepeatedOperandsDoNotMultiplyTheWorkOfTheCompiler) {
  // Each ?? of a foreign spelling, and each chained comparison, uses an operand twice.
  std::string coalesced = "node.message";
  for (size_t i = 0; i < 35; ++i) coalesced = "(" + coalesced + " ?? s)";
  EXPECT_TRUE(HasErrors(CelFixture().Compile(coalesced).findings));
  std::string chained = "1";
  for (size_t i = 0; i < 16; ++i) chained = "1 < (" + chained + " < 2 ? 1 : 2) < 3";
  const Compiled compiled = ExprFixture().Compile(chained);
  if (!compiled.program.has_value()) return;
  const Truth truth = compiled.program->Decide(ExprFixture().Bindings());
  EXPECT_LE(truth.cost, compiled.program->cost_bound());
}

TEST(ExprProgramTest, ASourceThatIsTooLongOrNoTextIsRefused) {
  EXPECT_EQ(FirstMessage(CelFixture().Compile(std::string(5000, ' ') + "1")),
            "the expression is longer than 4096 bytes");
  EXPECT_EQ(FirstMessage(CelFixture().Compile("'\xff'")), "the expression is no valid UTF-8");
  EXPECT_FALSE(CelFixture().Compile("").program.has_value());
  EXPECT_FALSE(ExprFixture().Compile(std::string_view("1\0 + 1", 6)).program.has_value());
}

// --- cost -------------------------------------------------------------------------------------------

TEST(ExprProgramTest, AnExpressionThatMayCostTooMuchIsRefusedWhenLoaded) {
  Fixture fixture = CelFixture();
  EXPECT_TRUE(fixture.Compile("ls.all(t, s.contains(t))").program.has_value());
  fixture.limits.cost = 50;
  const Compiled compiled = fixture.Compile("ls.all(t, s.contains(t))");
  ASSERT_EQ(compiled.findings.size(), 1U);
  EXPECT_EQ(compiled.findings[0].id, "E062");
}

TEST(ExprProgramTest, ChecksThatPoliciesNeedFitTheBudgetWithoutSizes) {
  const Type parameter = Type::Object("parameter", {{"name", Type::String()}, {"value", Type::String(), true}});
  const Type outputs = Type::Object("outputs", {{"parameters", Type::KeyedList(parameter, "name"), true}});
  const Environment environment({{"node", outputs}, {"old", outputs}, {"a", Type::Any()}, {"c", Type::Any()}});
  for (const char* const source : {
           "has(node.parameters) && node.parameters.all(p, has(node.parameters[p].value) && "
           "node.parameters[p].value.fullMatches('[a-z0-9-]+'))",
           "has(node.parameters) && has(old.parameters) && node.parameters == old.parameters",
           "a == c",
           "has(node.parameters) && node.parameters.exists(p, node.parameters[p].name + 'x' == a.name)",
       }) {
    const Compiled compiled = Compile(source, Dialect::kCel, environment, {}, Type::Bool());
    EXPECT_TRUE(compiled.program.has_value()) << source << ": " << FirstMessage(compiled);
  }
}

TEST(ExprProgramTest, TheBudgetEndsEveryEvaluation) {
  const char* const sources[] = {
      "all(1..1000000000, # > 0)",
      "len(1..9223372036854775807) > 0",
      "reduce(1..50000, #acc + \"aaaaaaaaaaaaaaaa\", \"\") == \"\"",
      "len(repeat(\"abcdefgh\", 1000000000)) > 0",
      "len(map(1..5000, 1..5000)) > 0",
      "count(1..3000, any(1..3000, # == 0)) == 0",
      "let a = repeat(\"a\", 1000000); lastIndexOf(a, repeat(\"a\", 500000) + \"b\") == 0",
      "len(replace(repeat(\"a\", 1000000), \"a\", repeat(\"b\", 1000))) > 0",
      "len(split(repeat(\"a\", 1000000), \"\")) > 0",
      "len(join(map(1..100000, repeat(\"a\", 1000)))) > 0",
      "len(fromJSON(\"[\" + repeat(\"[],\", 1000000) + \"1]\")) > 0",
      "len(uniq(1..100000)) > 0",
      "len(toJSON(map(1..100000, map(1..100, #)))) > 0",
  };
  Fixture fixture = ExprFixture();
  fixture.limits.cost = 1'000'000;
  fixture.limits.memory_bytes = 8U << 20U;
  for (const char* const source : sources) {
    const Compiled compiled = fixture.Compile(source);
    ASSERT_TRUE(compiled.program.has_value()) << source << ": " << FirstMessage(compiled);
    const Truth truth = compiled.program->Decide(fixture.Bindings());
    EXPECT_FALSE(truth.ok) << source;
    EXPECT_FALSE(truth.value) << source;
    EXPECT_EQ(FaultName(truth.failure.fault), "cost") << source << ": " << truth.failure.message;
  }
}

TEST(ExprProgramTest, ADocumentBeyondItsSizesIsHeldToTheBudget) {
  Fixture fixture = CelFixture();
  fixture.limits.cost = 2000;
  const Compiled compiled = fixture.Compile("l.all(i, i > 0)");
  ASSERT_TRUE(compiled.program.has_value());
  for (size_t i = 0; i < 5000; ++i) fixture.document.Find("l")->items.push_back(Value::Number(1));
  const Truth truth = compiled.program->Decide(fixture.Bindings());
  EXPECT_FALSE(truth.ok);
  EXPECT_EQ(FaultName(truth.failure.fault), "cost");
}

// --- properties over random expressions -------------------------------------------------------------

// Random, mostly well-typed expressions. Deterministic by its seed.
class Generator {
 public:
  Generator(uint32_t seed, bool cel) : random_(seed), cel_(cel) {}

  std::string Bool(int depth) {
    if (depth <= 0) return Pick({"true", "false", cel_ ? "b" : "response.statusCode == 201"});
    const int less = depth - 1;
    switch (random_() % 10) {
      case 0: return "(" + Bool(less) + " && " + Bool(less) + ")";
      case 1: return "(" + Bool(less) + " || " + Bool(less) + ")";
      case 2: return "!" + Bool(less);
      case 3: return "(" + Int(less) + Pick({" < ", " == ", " >= ", " != "}) + Int(less) + ")";
      case 4: return "(" + Text(less) + Pick({" < ", " == ", " > "}) + Text(less) + ")";
      case 5: return "(" + Int(less) + " in " + List(less) + ")";
      case 6: return "(" + List(less) + " == " + List(less) + ")";
      case 7:
        return cel_ ? Text(less) + ".contains(" + Text(less) + ")" : "(" + Text(less) + " contains " + Text(less) + ")";
      case 8:
        return cel_ ? List(less) + ".exists(i, i > " + Int(0) + ")" : "any(" + List(less) + ", # > " + Int(less) + ")";
      default:
        return cel_ ? "has(node." + Pick({"message", "outputs.parameters.ts", "outputs.result"}) + ")"
                    : "(" + Pick({"response", "request"}) + ".headers[" + Text(less) + "] == nil)";
    }
  }
  std::string Int(int depth) {
    if (depth <= 0) return Pick({"0", "1", "-7", "9223372036854775807", cel_ ? "x" : "response.statusCode"});
    const int less = depth - 1;
    switch (random_() % 6) {
      case 0: return "(" + Int(less) + Pick({" + ", " - ", " * ", " % "}) + Int(less) + ")";
      case 1: return (cel_ ? "size(" : "len(") + Text(less) + ")";
      case 2: return (cel_ ? "size(" : "len(") + List(less) + ")";
      case 3: return "int(" + Text(less) + ")";
      case 4: return "(" + Bool(less) + " ? " + Int(less) + " : " + Int(less) + ")";
      default: return cel_ ? List(less) + "[" + Int(less) + "]" : "count(" + List(less) + ", # > " + Int(less) + ")";
    }
  }
  std::string Text(int depth) {
    if (depth <= 0) return Pick({"''", "'a'", "'17'", "'h\xC3\xA9llo'", cel_ ? "s" : "response.body"});
    const int less = depth - 1;
    switch (random_() % (cel_ ? 3 : 7)) {
      case 0: return "(" + Text(less) + " + " + Text(less) + ")";
      case 1: return "string(" + Int(less) + ")";
      case 2: return "(" + Bool(less) + " ? " + Text(less) + " : " + Text(less) + ")";
      case 3: return Pick({"upper(", "trim(", "toJSON(", "toBase64("}) + Text(less) + ")";
      case 4: return "replace(" + Text(less) + ", " + Text(less) + ", " + Text(less) + ")";
      case 5: return "join(split(" + Text(less) + ", " + Text(less) + "), " + Text(less) + ")";
      default: return "repeat(" + Text(less) + ", 3)";
    }
  }
  std::string List(int depth) {
    if (depth <= 0) return Pick({"[]", "[1, 2]", cel_ ? "l" : "1..4"});
    const int less = depth - 1;
    switch (random_() % (cel_ ? 3 : 6)) {
      case 0: return "[" + Int(less) + ", " + Int(less) + "]";
      case 1:
        return cel_ ? "(" + List(less) + " + " + List(less) + ")" : "concat(" + List(less) + ", " + List(less) + ")";
      case 2: return "(" + Bool(less) + " ? " + List(less) + " : " + List(less) + ")";
      case 3: return "map(" + List(less) + ", # + " + Int(less) + ")";
      case 4: return "filter(" + List(less) + ", # > " + Int(less) + ")";
      default: return Pick({"sort(", "reverse(", "uniq("}) + List(less) + ")";
    }
  }

 private:
  std::string Pick(std::vector<std::string> choices) { return choices[random_() % choices.size()]; }

  std::mt19937 random_;
  const bool cel_;
};

TEST(ExprProgramTest, RandomExpressionsAreDeterministicAndStayWithinTheirBound) {
  for (const bool cel : {true, false}) {
    const Fixture fixture = cel ? CelFixture() : ExprFixture();
    const std::vector<Ref> bindings = fixture.Bindings();
    size_t evaluated = 0, gave = 0;
    for (uint32_t seed = 0; seed < 20'000; ++seed) {
      const std::string source = Generator(seed, cel).Bool(static_cast<int>(seed % 6));
      const Compiled compiled = fixture.Compile(source);
      if (!compiled.program.has_value()) continue;
      ++evaluated;
      const Outcome outcome = compiled.program->Evaluate(bindings);
      const Outcome again = compiled.program->Evaluate(bindings);
      const Truth truth = compiled.program->Decide(bindings);
      gave += outcome.ok ? 1 : 0;
      ASSERT_LE(outcome.cost, compiled.program->cost_bound()) << source;
      ASSERT_LE(outcome.cost, fixture.limits.cost + 1'000'000) << source;
      ASSERT_EQ(outcome.ok, again.ok) << source;
      ASSERT_EQ(outcome.ok, truth.ok) << source << truth.failure.message;
      ASSERT_EQ(outcome.cost, again.cost) << source;
      ASSERT_EQ(ToJson(outcome.value), ToJson(again.value)) << source;
      ASSERT_EQ(truth.value, outcome.ok && outcome.value.boolean) << source;
      ASSERT_EQ(outcome.failure.message, again.failure.message) << source;
      ASSERT_LE(outcome.failure.offset + outcome.failure.length, source.size()) << source;
    }
    EXPECT_GT(evaluated, 10'000U);
    EXPECT_GT(gave, 5'000U);
  }
}

TEST(ExprProgramTest, DamagedSourcesAreRefusedOrMeanSomethingButNeverBreakTheCompiler) {
  std::mt19937 random(7);
  for (const char* const table : {"cel.jsonl", "expr.jsonl"}) {
    const Fixture fixture = table[0] == 'c' ? CelFixture() : ExprFixture();
    const std::vector<Ref> bindings = fixture.Bindings();
    const std::vector<Row> rows = ReadTable(table);
    for (size_t round = 0; round < 20'000; ++round) {
      std::string source = rows[random() % rows.size()].source;
      const std::string& other = rows[random() % rows.size()].source;
      for (size_t i = 0; i <= random() % 3; ++i) {
        const size_t at = random() % (source.size() + 1);
        switch (random() % 3) {
          case 0: source.erase(at, 1 + random() % 3); break;
          case 1: source.insert(at, 1, "()[]{}.,?:#|!\"'\\+-*/%=<>&"[random() % 26]); break;
          default: source.insert(at, other.substr(0, random() % (other.size() + 1)));
        }
      }
      const Compiled compiled = fixture.Compile(source);
      for (const Finding& finding : compiled.findings) {
        ASSERT_LE(finding.offset + finding.length, source.size()) << source;
        ASSERT_FALSE(Render(source, finding).empty());
      }
      ASSERT_EQ(compiled.program.has_value(), !HasErrors(compiled.findings)) << source;
      if (!compiled.program.has_value()) continue;
      const Outcome outcome = compiled.program->Evaluate(bindings);
      ASSERT_LE(outcome.cost, compiled.program->cost_bound()) << source;
    }
  }
}

// --- documents and bindings -------------------------------------------------------------------------

TEST(ExprProgramTest, OneProgramServesManyThreads) {
  const Fixture fixture = CelFixture();
  const Compiled compiled = fixture.Compile(
      "x == 7 && s.fullMatches('h.*o') && l.all(i, i > 0) && node.outputs.parameters['ts'].value + s == '17.5' + s");
  ASSERT_TRUE(compiled.program.has_value()) << FirstMessage(compiled);
  const std::vector<Ref> bindings = fixture.Bindings();
  std::atomic<size_t> right = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < 500; ++i) right += compiled.program->Decide(bindings).value ? 1U : 0U;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 2000U);
}

TEST(ExprProgramTest, AValueOfAnotherTypeThanItsVariablesIsAnError) {
  const struct {
    const char* source;
    const char* variable;
    const char* value;
  } cases[] = {
      {"x == 1", "x", "\"1\""},
      {"x == 1", "x", "1.5"},
      {"x == 1", "x", "null"},
      {"s == ''", "s", "1"},
      {"b", "b", "\"true\""},
      {"l == [1]", "l", "{}"},
      {"l.all(i, i > 0)", "l", "[\"a\"]"},
      {"m.one == 1", "m", "[]"},
      {"d > 0.0", "d", "true"},
      {"node.phase == ''", "node", "{\"phase\": 3}"},
      {"x == 1", "x", "1e400"},
      {"'a' in ls", "ls", "[1]"},
  };
  for (const auto& test : cases) {
    Fixture fixture = CelFixture();
    fixture.document.Set(test.variable, Json(test.value));
    const Compiled compiled = fixture.Compile(test.source);
    ASSERT_TRUE(compiled.program.has_value()) << test.source;
    const Truth truth = compiled.program->Decide(fixture.Bindings());
    EXPECT_FALSE(truth.ok) << test.source << " with " << test.value;
    EXPECT_FALSE(truth.value);
  }
}

TEST(ExprProgramTest, AVariableThatIsNotBoundIsAbsent) {
  Fixture fixture = CelFixture();
  const Compiled asks = fixture.Compile("!has(requeue) || duration(requeue) < duration('1h')");
  const Compiled reads = fixture.Compile("duration(requeue) < duration('1h')");
  ASSERT_TRUE(asks.program.has_value() && reads.program.has_value());
  EXPECT_TRUE(asks.findings.empty());
  std::vector<Ref> bindings = fixture.Bindings();
  bindings[1] = {};
  EXPECT_TRUE(asks.program->Decide(bindings).value);
  EXPECT_EQ(reads.program->Decide(bindings).failure.fault, Fault::kAbsent);
  EXPECT_EQ(reads.program->Decide({}).failure.fault, Fault::kAbsent);
  EXPECT_EQ(asks.program->variables_read(), std::vector<size_t>{1});
}

TEST(ExprProgramTest, AFailureNamesThePlaceAndNeverAValue) {
  Fixture fixture = CelFixture();
  fixture.document.Set("s", Value::String("hunter2"));
  const Compiled compiled = fixture.Compile("x > 1 && int(s) == 3");
  ASSERT_TRUE(compiled.program.has_value());
  const Truth truth = compiled.program->Decide(fixture.Bindings());
  EXPECT_EQ(truth.failure.message, "s is no int of 64 bits");
  EXPECT_EQ(truth.failure.offset, 9U);
  EXPECT_EQ(truth.failure.length, 6U);
}

TEST(ExprProgramTest, ANumberIsNotABoolWhenAVerdictIsAsked) {
  const Fixture fixture = CelFixture();
  const Compiled compiled = fixture.Compile("a.k[0]");
  ASSERT_TRUE(compiled.program.has_value());
  const Truth truth = compiled.program->Decide(fixture.Bindings());
  EXPECT_FALSE(truth.ok);
  EXPECT_EQ(truth.failure.fault, Fault::kType);
}

// A representation of its own: a mapping of texts.
class PairsReader final : public Reader {
 public:
  using Pairs = std::map<std::string, std::string>;
  Value::Kind KindOf(const void* node) const override {
    return node == root_ ? Value::Kind::kObject : Value::Kind::kString;
  }
  bool Bool(const void*) const override { return false; }
  std::string_view Text(const void* node) const override { return *static_cast<const std::string*>(node); }
  size_t Size(const void*) const override { return root_->size(); }
  const void* Item(const void*, size_t) const override { return nullptr; }
  std::string_view Key(const void*, size_t index) const override {
    return std::next(root_->begin(), static_cast<std::ptrdiff_t>(index))->first;
  }
  const void* Member(const void*, size_t index) const override {
    return &std::next(root_->begin(), static_cast<std::ptrdiff_t>(index))->second;
  }
  const void* Find(const void*, std::string_view key) const override {
    const auto found = root_->find(std::string(key));
    return found == root_->end() ? nullptr : &found->second;
  }
  explicit PairsReader(const Pairs& root) : root_(&root) {}

 private:
  const Pairs* root_;
};

TEST(ExprProgramTest, ADocumentOfAnyRepresentationIsReadInPlace) {
  const PairsReader::Pairs pairs = {{"one", "1"}, {"two", "22"}};
  const PairsReader reader(pairs);
  const Environment environment({{"p", Type::Map(Type::String(), Type::String())}});
  const Compiled compiled =
      Compile("p.one == '1' && 'two' in p && size(p) == 2 && p.all(k, size(p[k]) < 3) && !has(p.zz)", Dialect::kCel,
              environment);
  ASSERT_TRUE(compiled.program.has_value()) << FirstMessage(compiled);
  const Ref binding{&reader, &pairs};
  const Truth truth = compiled.program->Decide({&binding, 1});
  EXPECT_TRUE(truth.value) << truth.failure.message;
}

}  // namespace
}  // namespace bulkhead::expr

#include "policy/expr/success_condition.h"

#include <gtest/gtest.h>

namespace bulkhead::expr {
namespace {

HttpExchange Exchange() {
  HttpExchange exchange;
  exchange.method = "POST";
  exchange.url = "https://example.com/jobs?id=1";
  exchange.body = "{}";
  exchange.body_bytes = "{}";
  exchange.request_headers = {{"accept", "text/plain"}};
  exchange.status_code = 404;
  exchange.response_body = R"({"state": "done", "count": 3})";
  exchange.response_headers = {{"content-type", "application/json"}, {"X-Many", "a"}, {"x-many", "b"}};
  return exchange;
}

TEST(SuccessConditionTest, AConditionJudgesTheExchange) {
  const struct {
    const char* source;
    bool value;
  } cases[] = {
      {"response.statusCode == 404", true},
      {"response.statusCode >= 200 and response.statusCode < 300", false},
      {"fromJSON(response.body).state == \"done\"", true},
      {"fromJSON(response.body).count in 1..3", true},
      {"response.headers[\"Content-Type\"][0] startsWith \"application/\"", true},
      {"response.headers.Get(\"CONTENT-TYPE\") contains \"json\"", true},
      {"response.headers[\"content-type\"] == nil", true},
      {"len(response.headers[\"X-Many\"]) == 2 and response.headers[\"X-Many\"][1] == \"b\"", true},
      {"request.method == \"POST\" and request.url contains \"/jobs\" and request.body == \"{}\"", true},
      {"len(request.bodyBytes) == 2", true},
      {"\"Accept\" in request.headers", true},
      {"response.body matches '\"count\": [0-9]+'", true},
      {"any(values(response.headers), len(#) > 1)", true},
  };
  for (const auto& test : cases) {
    const Compiled compiled = CompileSuccessCondition(test.source);
    ASSERT_TRUE(compiled.program.has_value()) << test.source << ": " << compiled.findings[0].message;
    const Truth truth = EvaluateSuccessCondition(*compiled.program, Exchange());
    EXPECT_TRUE(truth.ok) << test.source << ": " << truth.failure.message;
    EXPECT_EQ(truth.value, test.value) << test.source;
  }
}

TEST(SuccessConditionTest, OnlyABoolOverRequestAndResponseIsACondition) {
  for (const char* const source :
       {"1", "response.body", "inputs.x == 1", "len(response.headers)", "now() == nil", ""}) {
    EXPECT_FALSE(CompileSuccessCondition(source).program.has_value()) << source;
  }
  // Its type is known only when it is evaluated.
  const Compiled compiled = CompileSuccessCondition("fromJSON(response.body).count");
  ASSERT_TRUE(compiled.program.has_value());
  EXPECT_FALSE(EvaluateSuccessCondition(*compiled.program, Exchange()).ok);
}

TEST(SuccessConditionTest, BytesThatAreNoTextDoNotBreakACondition) {
  HttpExchange exchange = Exchange();
  exchange.response_body = "ok\xff\xfe!";
  exchange.response_headers = {{"X-\xff", "\xc3"}};
  const Compiled compiled = CompileSuccessCondition("response.body == \"ok\\uFFFD!\" and len(response.headers) == 1");
  ASSERT_TRUE(compiled.program.has_value());
  const Truth truth = EvaluateSuccessCondition(*compiled.program, exchange);
  EXPECT_TRUE(truth.value) << truth.failure.message;
}

TEST(SuccessConditionTest, ALongBodyIsLookedThroughWithinTheBudget) {
  HttpExchange exchange = Exchange();
  const std::string body = std::string(8U << 20U, 'a') + "needle";
  exchange.response_body = body;
  const Compiled found =
      CompileSuccessCondition("response.body contains \"needle\" and response.body endsWith \"needle\"");
  ASSERT_TRUE(found.program.has_value());
  EXPECT_TRUE(EvaluateSuccessCondition(*found.program, exchange).value);
}

TEST(SuccessConditionTest, HeaderNamesTakeTheFormThatGoGivesThem) {
  EXPECT_EQ(CanonicalHeaderName("content-type"), "Content-Type");
  EXPECT_EQ(CanonicalHeaderName("X-REQUEST-ID"), "X-Request-Id");
  EXPECT_EQ(CanonicalHeaderName("etag"), "Etag");
  EXPECT_EQ(CanonicalHeaderName("a b-c"), "a b-c");
  EXPECT_EQ(CanonicalHeaderName(""), "");
}

}  // namespace
}  // namespace bulkhead::expr

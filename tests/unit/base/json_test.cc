#include "runner/base/json.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

struct Refusal {
  std::string bytes;
  JsonFault fault;
};

std::string Deep(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

// An object of more keys than are compared each with each, and one more.
std::string Keys(int count, const std::string& last) {
  std::string text = "{";
  for (int i = 0; i < count; ++i) text += "\"k" + std::to_string(i) + "\":1,";
  return text + "\"" + last + "\":2}";
}

TEST(Json, RefusesWhatTwoReadersCouldSeeDifferently) {
  const std::vector<Refusal> cases = {
      {"", JsonFault::kSyntax},
      {"{", JsonFault::kSyntax},
      {"nul", JsonFault::kSyntax},
      {"{} {}", JsonFault::kTrailingData},
      {"{}x", JsonFault::kTrailingData},
      {"\xEF\xBB\xBF{}", JsonFault::kSyntax},
      {R"({"a":1,})", JsonFault::kSyntax},
      {"[1,]", JsonFault::kSyntax},
      {"[01]", JsonFault::kSyntax},
      {"[+1]", JsonFault::kSyntax},
      {"[1.]", JsonFault::kSyntax},
      {"[.5]", JsonFault::kSyntax},
      {"[1e]", JsonFault::kSyntax},
      {"[NaN]", JsonFault::kSyntax},
      {"[-]", JsonFault::kSyntax},
      {"['a']", JsonFault::kSyntax},
      {"[\"a\nb\"]", JsonFault::kSyntax},
      {R"(["\x41"])", JsonFault::kSyntax},
      {R"(["\u12"])", JsonFault::kSyntax},
      {"/* */ 1", JsonFault::kSyntax},
      {"[\"\xC0\xAF\"]", JsonFault::kInvalidUtf8},  // overlong
      {"[\"\xE0\x80\xAF\"]", JsonFault::kInvalidUtf8},
      {"[\"\xF0\x80\x80\xAF\"]", JsonFault::kInvalidUtf8},
      {"[\"\xED\xA0\x80\"]", JsonFault::kInvalidUtf8},  // a surrogate
      {"[\"\xF4\x90\x80\x80\"]", JsonFault::kInvalidUtf8},
      {"[\"\xE2\x82\"]", JsonFault::kInvalidUtf8},
      {R"(["\ud800"])", JsonFault::kInvalidUtf8},
      {R"(["\udc00"])", JsonFault::kInvalidUtf8},
      {R"(["\udc00\ud800"])", JsonFault::kInvalidUtf8},
      {R"({"a":1,"a":2})", JsonFault::kDuplicateKey},
      {R"({"a":1,"\u0061":2})", JsonFault::kDuplicateKey},
      {R"({"Phase":1,"phase":2})", JsonFault::kDuplicateKey},
      {R"({"phase":1,"pha\u017fe":2})", JsonFault::kDuplicateKey},
      {R"({"k":1,"\u212a":2})", JsonFault::kDuplicateKey},
      {Keys(40, "k7"), JsonFault::kDuplicateKey},
      {Keys(40, "K7"), JsonFault::kDuplicateKey},
      {Keys(40, "\\u212a7"), JsonFault::kDuplicateKey},
      {Deep(65), JsonFault::kTooDeep},
      {Deep(10'000), JsonFault::kTooDeep},
  };
  for (const Refusal& refusal : cases) {
    const JsonParse parse = ParseJson(refusal.bytes);
    EXPECT_FALSE(parse.ok) << refusal.bytes.substr(0, 80);
    EXPECT_EQ(JsonFaultName(parse.error.fault), JsonFaultName(refusal.fault))
        << refusal.bytes.substr(0, 80) << ": " << parse.error.message;
  }
}

TEST(Json, TakesWhatRfc8259Allows) {
  for (const char* const text : {"null", " true ", "-0", "1e+9", "[]", "{}", R"(["\ud83d\ude00","\/"])",
                                 R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})", "[\"\x7F\"]"}) {
    EXPECT_TRUE(ParseJson(text).ok) << text;
  }
  EXPECT_TRUE(ParseJson(Deep(64)).ok);
}

TEST(Json, LimitsAreExact) {
  EXPECT_TRUE(ParseJson("[1]", {.bytes = 3}).ok);
  EXPECT_EQ(ParseJson("[12]", {.bytes = 3}).error.fault, JsonFault::kTooLarge);
  EXPECT_TRUE(ParseJson("[1,2]", {.values = 3}).ok);
  EXPECT_EQ(ParseJson("[1,2,3]", {.values = 3}).error.fault, JsonFault::kTooManyValues);
  EXPECT_TRUE(ParseJson(R"(["\u00e9"])", {.string_bytes = 2}).ok);
  EXPECT_FALSE(ParseJson(R"(["abc"])", {.string_bytes = 2}).ok);
}

TEST(Json, AFaultNamesItsPlaceAndNoInput) {
  const JsonParse parse = ParseJson(R"({"node":{"a/b":[1,{"secret":1,"secret":2}]}})");
  ASSERT_FALSE(parse.ok);
  EXPECT_EQ(parse.error.pointer, "/node/a~1b/1/secret");
  EXPECT_EQ(parse.error.message.find("secret"), std::string::npos);
}

TEST(Json, NumbersKeepTheirLexemeAndMembersTheirOrder) {
  const std::string text = R"({"z":1.10,"a":[1e400,-0,18446744073709551616],"m":"\u2028<>&\"\\\n\u0001"})";
  const JsonParse parse = ParseJson(text);
  ASSERT_TRUE(parse.ok);
  EXPECT_EQ(ToJson(parse.value),
            R"({"z":1.10,"a":[1e400,-0,18446744073709551616],"m":"\u2028\u003c\u003e\u0026\"\\\n\u0001"})");
}

TEST(Json, PositionsCountLinesAndBytes) {
  const JsonParse parse = ParseJson("{\n  \"a\": [\n    7]}");
  ASSERT_TRUE(parse.ok);
  const Value& seven = parse.value.Find("a")->items[0];
  EXPECT_EQ(seven.at.line, 3U);
  EXPECT_EQ(seven.at.column, 5U);
}

TEST(Json, FoldsAsGoDoes) {
  EXPECT_TRUE(FoldsTo("phase", "PHASE"));
  EXPECT_TRUE(
      FoldsTo("pha\xC5\xBF"
              "e",
              "phase"));
  EXPECT_TRUE(FoldsTo("\xE2\x84\xAA", "k"));
  EXPECT_FALSE(FoldsTo("phase", "phases"));
  EXPECT_FALSE(FoldsTo("\xC3\x89", "e"));
}

}  // namespace
}  // namespace bulkhead

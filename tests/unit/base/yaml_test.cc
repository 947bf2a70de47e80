#include "runner/base/yaml.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

std::string ErrorOf(std::string_view text, const YamlLimits& limits = {}) {
  const auto parsed = ParseYaml(text, "f.yaml", limits);
  return parsed.ok() ? "" : parsed.error().message();
}

TEST(Yaml, RefusesWithFileLineAndColumn) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a: 1\na: 2\n", "f.yaml:2:1: "},
      {"a: yes\n", "f.yaml:1:4: "},
      {"a: off\n", "f.yaml:1:4: "},
      {"a: 010\n", "f.yaml:1:4: "},
      {"a: 1:30\n", "f.yaml:1:4: "},
      {"a: 2026-01-01\n", "f.yaml:1:4: "},
      {"a: &x 1\nb: *x\n", "f.yaml:1:4: "},
      {"a: !!binary aGk=\n", "f.yaml:1:4: "},
      {"<<: {a: 1}\n", "f.yaml:1:1: "},
      {"1: a\n", "f.yaml:1:1: "},
      {"a: [1\n", "f.yaml:"},
      {"a: \"\xFF\"\n", "f.yaml:"},
      {"\ta: 1\n", "f.yaml:1:"},
  };
  for (const auto& [text, place] : cases) {
    const std::string error = ErrorOf(text);
    EXPECT_TRUE(error.starts_with(place)) << text << " -> " << error;
  }
  EXPECT_NE(ErrorOf("a: yes\n").find("quote"), std::string::npos);
}

TEST(Yaml, ReadsTheCoreSchema) {
  const auto parsed = ParseYaml(
      "s: text\nq: \"yes\"\ni: 42\nf: 1.5\nb: true\nnul: null\ne:\nl: [a, 1]\nm: {k: v}\nt: |\n  line\n", "f.yaml");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(
      ToJson(parsed->front()),
      R"({"s":"text","q":"yes","i":42,"f":1.5,"b":true,"nul":null,"e":null,"l":["a",1],"m":{"k":"v"},"t":"line\n"})");
}

TEST(Yaml, ReadsDocumentsAndJson) {
  const auto parsed = ParseYaml("a: 1\n---\n{\"b\": [1, 2]}\n---\n", "f.yaml");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  ASSERT_EQ(parsed->size(), 3U);
  EXPECT_EQ(ToJson((*parsed)[1]), R"({"b":[1,2]})");
  EXPECT_TRUE((*parsed)[2].is_null());
  EXPECT_EQ((*parsed)[1].at.line, 3U);
}

TEST(Yaml, LimitsHold) {
  EXPECT_NE(ErrorOf("a: 1\n", {.bytes = 3}), "");
  EXPECT_NE(ErrorOf(std::string(100, '[') + std::string(100, ']')), "");
  EXPECT_NE(ErrorOf("[1, 2, 3]", {.values = 3}), "");
}

TEST(Yaml, WhatIsWrittenReadsBackTheSame) {
  const auto parsed = ParseYaml(
      R"({"a": "yes", "b": "1", "c": "x: y", "d": "multi\nline", "e": "", "f": [], "g": {}, "h": " lead", "i": "null", "j": "2026-01-01", "k": "-", "l": "#"})",
      "f");
  ASSERT_TRUE(parsed.ok());
  const auto again = ParseYaml(ToYaml(parsed->front()), "g");
  ASSERT_TRUE(again.ok()) << again.error().message() << "\n" << ToYaml(parsed->front());
  EXPECT_EQ(ToJson(again->front()), ToJson(parsed->front()));
}

}  // namespace
}  // namespace bulkhead

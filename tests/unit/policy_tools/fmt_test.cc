#include "policy/tools/fmt.h"

#include <gtest/gtest.h>

namespace bulkhead::policy::tools {
namespace {

std::string Formatted(std::string_view text) {
  auto formatted = Format(text, "f.yaml");
  return formatted.ok() ? *formatted : "error: " + formatted.error().message();
}

struct FmtCase {
  const char* name;
  const char* before;
  const char* after;
};

TEST(Fmt, LaysOutEachConstructInOneWay) {
  const FmtCase cases[] = {
      {"indentation and spacing", "a:\n    b:   1\n    c: [x,   w]\n", "a:\n  b: 1\n  c: [x, w]\n"},
      {"a sequence at its key's column", "a:\n- x\n-   w\nb: 1\n", "a:\n  - x\n  - w\nb: 1\n"},
      {"short flow stays, in one spacing", "r:\n  -   { id:   x ,path: node.phase }\n",
       "r:\n  - {id: x, path: node.phase}\n"},
      {"empty collections", "a: { }\nb: [ ]\n", "a: {}\nb: []\n"},
      {"comments stay where they belong",
       "# head\n\n# second\na: 1   # end\nb:\n   # above x\n   - x # x\n   # foot of b\n# above c\nc: 2\n# last\n",
       "# head\n\n# second\na: 1  # end\nb:\n  # above x\n  - x  # x\n  # foot of b\n# above c\nc: 2\n# last\n"},
      {"a comment at a key whose value follows", "a: # why\n  b: 1\n", "a:  # why\n  b: 1\n"},
      {"a comment behind a dash", "a:\n  - x\n  - # w\n    id: w\n", "a:\n  - x\n  # w\n  - id: w\n"},
      {"a commented flow collection becomes a block", "a: [x, # one\n  w]\n", "a:\n  - x  # one\n  - w\n"},
      {"many empty lines are one, none at a start", "a:\n\n  b: 1\n\n\n\n  c: 2\n", "a:\n  b: 1\n\n  c: 2\n"},
      {"document keys", "kind: K\nspec: {}\napiVersion: v\nmetadata: {name: x}\n",
       "apiVersion: v\nkind: K\nmetadata: {name: x}\nspec: {}\n"},
      {"rule keys", "spec:\n  allow:\n  - {value: {const: x}, path: requeue, id: r}\n",
       "spec:\n  allow:\n    - {id: r, path: requeue, value: {const: x}}\n"},
      {"rule keys in block style", "spec:\n  deny:\n  - path: requeue\n    id: r\n",
       "spec:\n  deny:\n    - id: r\n      path: requeue\n"},
      {"keys that are not a rule's keep their order", "spec:\n  other: {path: x, id: w}\n",
       "spec:\n  other: {path: x, id: w}\n"},
      {"quoting is the author's", "a: 'x'\nb: \"w\"\nc: '[\"k\"]'\n", "a: 'x'\nb: \"w\"\nc: '[\"k\"]'\n"},
      {"a block scalar keeps its lines", "a: |-   # why\n      one\n        two\n\n      three\nb: 1\n",
       "a: |-  # why\n  one\n    two\n\n  three\nb: 1\n"},
      {"a folded one too", "a: >-\n     one\n     two\n", "a: >-\n  one\n  two\n"},
      {"a plain scalar of two lines is quoted", "a: one\n  two\n", "a: \"one two\"\n"},
      {"several documents", "a: 1\n---\n\n# of the second\nb: 2\n", "a: 1\n---\n# of the second\nb: 2\n"},
      {"only comments", "# nothing\n", "# nothing\n"},
      {"text beyond ASCII before a comment", "a: \"é→\" # ü\n", "a: \"é→\"  # ü\n"},
      {"JSON", "{\"a\": {\"b\": [1, 2]}}\n", "{\"a\": {\"b\": [1, 2]}}\n"},
      {"a number sign inside a scalar is no comment", "a: x#w\nb: \"# z\"\n", "a: x#w\nb: \"# z\"\n"},
      {"a list in a list", "a:\n  -   - x\n      - w\n", "a:\n  - - x\n    - w\n"},
  };
  for (const FmtCase& c : cases) {
    EXPECT_EQ(Formatted(c.before), c.after) << c.name;
    EXPECT_EQ(Formatted(c.after), c.after) << c.name << ", again";
  }
}

TEST(Fmt, AFlowMappingTooLongForALineBecomesABlock) {
  const std::string text(110, 'x');
  EXPECT_EQ(Formatted("a:\n  - {id: w, path: \"" + text + "\"}\n"), "a:\n  - id: w\n    path: \"" + text + "\"\n");
}

TEST(Fmt, WhatIsNotStrictYamlIsRefusedWithItsPlace) {
  EXPECT_NE(Formatted("a: &x 1\n").find("f.yaml:1:4: anchors"), std::string::npos);
  EXPECT_NE(Formatted("a: yes\n").find("quote it"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::policy::tools

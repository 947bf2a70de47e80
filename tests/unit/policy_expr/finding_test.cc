// What the compiler says: exact sentences, carets and corrections.
#include <gtest/gtest.h>

#include "table.h"

namespace bulkhead::expr {
namespace {

struct Case {
  const char* source;
  const char* rendered;  // all findings
  const char* fixed;     // after every correction; nullptr: there is none
};

std::string Rendered(const Fixture& fixture, const char* source) {
  std::string out;
  for (const Finding& finding : fixture.Compile(source).findings) out += Render(source, finding);
  return out;
}

std::string Fixed(const Fixture& fixture, std::string source) {
  const std::vector<Finding> findings = fixture.Compile(source).findings;
  size_t end = source.size();
  for (size_t i = findings.size(); i-- > 0;) {
    const Finding& finding = findings[i];
    // Corrections may overlap: the outer one has the inner text as it was, so only one can be taken.
    if (finding.fixit.empty() || finding.offset + finding.length > end) continue;
    source.replace(finding.offset, finding.length, finding.fixit);
    end = finding.offset;
  }
  return source;
}

void Check(const Fixture& fixture, const Case& test) {
  EXPECT_EQ(Rendered(fixture, test.source), test.rendered) << test.source;
  if (test.fixed == nullptr) return;
  EXPECT_EQ(Fixed(fixture, test.source), test.fixed);
  EXPECT_FALSE(HasErrors(fixture.Compile(test.fixed).findings)) << Rendered(fixture, test.fixed);
}

constexpr Case kCel[] = {
    {"node.mesage == \"x\"",
     "1:6: error[E060]: node has no field \"mesage\" (did you mean \"message\"?)\n"
     "  node.mesage == \"x\"\n"
     "       ^~~~~~\n",
     "node.message == \"x\""},
    {"nod.phase == \"x\"",
     "1:1: error[E061]: there is no variable \"nod\" (did you mean \"node\"?)\n"
     "  nod.phase == \"x\"\n"
     "  ^~~\n",
     "node.phase == \"x\""},
    {"zzz == 1",
     "1:1: error[E061]: there is no variable \"zzz\"; there are node, requeue, workflow, x, d, s, b, l, ls, m, a, raw\n"
     "  zzz == 1\n"
     "  ^~~\n",
     nullptr},
    {"node.phase contains \"x\" and not b",
     "1:1: error[E065]: \"contains\" is no operator here\n"
     "  node.phase contains \"x\" and not b\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~~\n"
     "1:25: error[E065]: \"and\" is no operator here\n"
     "  node.phase contains \"x\" and not b\n"
     "                          ^~~\n"
     "1:29: error[E065]: \"not\" is no operator here\n"
     "  node.phase contains \"x\" and not b\n"
     "                              ^~~\n",
     "node.phase.contains(\"x\") && ! b"},
    {"s startsWith \"h\" or s endsWith \"o\"",
     "1:1: error[E065]: \"startsWith\" is no operator here\n"
     "  s startsWith \"h\" or s endsWith \"o\"\n"
     "  ^~~~~~~~~~~~~~~~\n"
     "1:18: error[E065]: \"or\" is no operator here\n"
     "  s startsWith \"h\" or s endsWith \"o\"\n"
     "                   ^~\n"
     "1:21: error[E065]: \"endsWith\" is no operator here\n"
     "  s startsWith \"h\" or s endsWith \"o\"\n"
     "                      ^~~~~~~~~~~~~~\n",
     "s.startsWith(\"h\") || s.endsWith(\"o\")"},
    {"s matches \"h.*\"",
     "1:1: error[E065]: \"matches\" is no operator here; fullMatches() is a match of the whole text, so add .* where "
     "more may follow\n"
     "  s matches \"h.*\"\n"
     "  ^~~~~~~~~~~~~~~\n",
     "s.fullMatches(\"h.*\")"},
    {"s =~ \"h.*\"",
     "1:1: error[E065]: \"=~\" is no operator here; fullMatches() is a match of the whole text, so add .* where more "
     "may follow\n"
     "  s =~ \"h.*\"\n"
     "  ^~~~~~~~~~\n",
     "s.fullMatches(\"h.*\")"},
    {"s !~ \"h.*\"",
     "1:1: error[E065]: \"!~\" is no operator here; fullMatches() is a match of the whole text, so add .* where more "
     "may follow\n"
     "  s !~ \"h.*\"\n"
     "  ^~~~~~~~~~\n",
     "!s.fullMatches(\"h.*\")"},
    {"s.matches(\"h.*\")",
     "1:1: error[E065]: matches() would accept a match anywhere in the text; fullMatches() is one of all of it\n"
     "  s.matches(\"h.*\")\n"
     "  ^~~~~~~~~~~~~~~~\n",
     "s.fullMatches(\"h.*\")"},
    {"asInt(s) > 3",
     "1:1: error[E065]: asInt() is written int(s) here\n"
     "  asInt(s) > 3\n"
     "  ^~~~~~~~\n",
     "int(s) > 3"},
    {"asFloat(s) > 3.0",
     "1:1: error[E065]: asFloat() is written double(s) here\n"
     "  asFloat(s) > 3.0\n"
     "  ^~~~~~~~~~\n",
     "double(s) > 3.0"},
    {"float(s) > 3.0",
     "1:1: error[E065]: float() is written double(s) here\n"
     "  float(s) > 3.0\n"
     "  ^~~~~~~~\n",
     "double(s) > 3.0"},
    {"len(s) = 5",
     "1:1: error[E065]: len() is written size(s) here\n"
     "  len(s) = 5\n"
     "  ^~~~~~\n"
     "1:8: error[E065]: \"=\" is no operator here\n"
     "  len(s) = 5\n"
     "         ^\n",
     "size(s) == 5"},
    {"hasPrefix(s, \"h\")",
     "1:1: error[E065]: hasPrefix() is written s.startsWith(\"h\") here\n"
     "  hasPrefix(s, \"h\")\n"
     "  ^~~~~~~~~~~~~~~~~\n",
     "s.startsWith(\"h\")"},
    {"contains(s, \"h\")",
     "1:1: error[E065]: contains() is written s.contains(\"h\") here\n"
     "  contains(s, \"h\")\n"
     "  ^~~~~~~~~~~~~~~~\n",
     "s.contains(\"h\")"},
    {"s.size() == 5 && s.int() == 1",
     "1:18: error[E065]: int() is written int(s) here\n"
     "  s.size() == 5 && s.int() == 1\n"
     "                   ^~~~~~~\n",
     "s.size() == 5 && int(s) == 1"},
    {"node.message ?? \"none\" == \"x\"",
     "1:1: error[E065]: \"??\" is no operator here\n"
     "  node.message ?? \"none\" == \"x\"\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~\n",
     "(has(node.message) ? node.message : \"none\") == \"x\""},
    {"x not in l",
     "1:1: error[E065]: \"not in\" is no operator here\n"
     "  x not in l\n"
     "  ^~~~~~~~~~\n",
     "!(x in l)"},
    {"\"é\" in s",
     "1:1: error[E060]: \"in\" looks into lists and maps, not into text\n"
     "  \"é\" in s\n"
     "  ^~~~~~~~~\n",
     "s.contains(\"é\")"},
    {"node.phase == null",
     "1:1: error[E060]: a string is never null; ask whether it is there by has()\n"
     "  node.phase == null\n"
     "  ^~~~~~~~~~~~~~~~~~\n",
     "!has(node.phase)"},
    {"requeue != null && b",
     "1:1: warning[W064]: \"requeue\" may be absent, and the check fails then; write has(requeue) && ... before it\n"
     "  requeue != null && b\n"
     "  ^~~~~~~\n"
     "1:1: error[E060]: a string is never null; ask whether it is there by has()\n"
     "  requeue != null && b\n"
     "  ^~~~~~~~~~~~~~~\n",
     "has(requeue) && b"},
    {"has(node.message) && node.message != null",
     "1:22: error[E060]: a string is never null; ask whether it is there by has()\n"
     "  has(node.message) && node.message != null\n"
     "                       ^~~~~~~~~~~~~~~~~~~~\n",
     "has(node.message) && has(node.message)"},
    {"s == `h`",
     "1:6: error[E065]: strings have \" or ' around them here, not backticks\n"
     "  s == `h`\n"
     "       ^~~\n",
     "s == \"h\""},
    {"(x + 1) contains \"a\"",
     "1:1: error[E065]: \"contains\" is no operator here\n"
     "  (x + 1) contains \"a\"\n"
     "  ^~~~~~~~~~~~~~~~~~~~\n"
     "1:9: error[E060]: \"contains\" has no meaning for int and string\n"
     "  (x + 1) contains \"a\"\n"
     "          ^~~~~~~~\n",
     nullptr},
    {"x === 7 || x !== 8",
     "1:3: error[E065]: \"===\" is no operator here\n"
     "  x === 7 || x !== 8\n"
     "    ^~~\n"
     "1:14: error[E065]: \"!==\" is no operator here\n"
     "  x === 7 || x !== 8\n"
     "               ^~~\n",
     "x == 7 || x != 8"},
    {"b & b",
     "1:3: error[E065]: \"&\" is no operator here\n"
     "  b & b\n"
     "    ^\n",
     "b && b"},
    {"x ** 2 == 49",
     "1:3: error[E065]: there is no operator \"**\" here; write the value out\n"
     "  x ** 2 == 49\n"
     "    ^~\n",
     nullptr},
    {"node?.phase == \"x\"",
     "1:5: error[E065]: there is no ?. here; guard an optional field by has()\n"
     "  node?.phase == \"x\"\n"
     "      ^~\n",
     "node.phase == \"x\""},
    {"any(l, {# > 1})",
     "1:9: error[E067]: predicates are written all(x, x > 0) here: name the item\n"
     "  any(l, {# > 1})\n"
     "          ^\n",
     nullptr},
    {"jsonpath(s, \"$.x\")",
     "1:1: error[E060]: there is no function jsonpath() here: read fields with . and []; of JSON text, behind "
     "fromJSON() where there is one\n"
     "  jsonpath(s, \"$.x\")\n"
     "  ^~~~~~~~\n",
     nullptr},
    {"now() > x",
     "1:1: error[E060]: there is no function now() here: an expression has no clock, so that the same input gives the "
     "same verdict\n"
     "  now() > x\n"
     "  ^~~\n",
     nullptr},
    {"startswith(s, \"h\")",
     "1:1: error[E060]: there is no function startswith() here (did you mean \"startsWith\"?)\n"
     "  startswith(s, \"h\")\n"
     "  ^~~~~~~~~~\n",
     nullptr},
    {"s.startswith(\"h\")",
     "1:3: error[E060]: there is no function startswith() here (did you mean \"startsWith\"?)\n"
     "  s.startswith(\"h\")\n"
     "    ^~~~~~~~~~\n",
     "s.startsWith(\"h\")"},
    {"x == 2.5",
     "1:1: error[E060]: \"==\" has no meaning for int and double; convert the int by double()\n"
     "  x == 2.5\n"
     "  ^\n",
     "double(x) == 2.5"},
    {"2.5 < x",
     "1:7: error[E060]: \"<\" has no meaning for double and int; convert the int by double()\n"
     "  2.5 < x\n"
     "        ^\n",
     "2.5 < double(x)"},
    {"x + \"a\"",
     "1:3: error[E060]: \"+\" has no meaning for int and string\n"
     "  x + \"a\"\n"
     "    ^\n",
     nullptr},
    {"s + 1 == \"h1\"",
     "1:3: error[E060]: \"+\" has no meaning for string and int\n"
     "  s + 1 == \"h1\"\n"
     "    ^\n",
     nullptr},
    {"!x",
     "1:2: error[E060]: the operand of ! must be a bool, not an int\n"
     "  !x\n"
     "   ^\n",
     nullptr},
    {"x && b",
     "1:1: error[E060]: an operand of && must be a bool, not an int\n"
     "  x && b\n"
     "  ^\n",
     nullptr},
    {"x ? 1 : 2",
     "1:1: error[E060]: the condition of ?: must be a bool, not an int\n"
     "  x ? 1 : 2\n"
     "  ^\n",
     nullptr},
    {"b ? 1 : \"a\"",
     "1:9: error[E060]: both values of a conditional must be of one type; these are int and string\n"
     "  b ? 1 : \"a\"\n"
     "          ^~~\n",
     nullptr},
    {"l[\"a\"]",
     "1:3: error[E060]: the index of a list must be an int, not a string\n"
     "  l[\"a\"]\n"
     "    ^~~\n",
     nullptr},
    {"m[1]",
     "1:3: error[E060]: the keys of this map are of type string, not int\n"
     "  m[1]\n"
     "    ^\n",
     nullptr},
    {"s[0]",
     "1:1: error[E060]: a string cannot be indexed by an int\n"
     "  s[0]\n"
     "  ^~~~\n",
     nullptr},
    {"node[\"pha\"] == \"\"",
     "1:6: error[E060]: node has no field \"pha\"\n"
     "  node[\"pha\"] == \"\"\n"
     "       ^~~~~\n",
     nullptr},
    {"node[s] == \"\"",
     "1:6: error[E060]: a field of node must be named by a literal, as in x.name\n"
     "  node[s] == \"\"\n"
     "       ^\n",
     nullptr},
    {"size(x)",
     "1:6: error[E060]: size() takes a string, bytes, list or map here, not an int\n"
     "  size(x)\n"
     "       ^\n",
     nullptr},
    {"s.contains(1)",
     "1:12: error[E060]: contains() takes a string here, not an int\n"
     "  s.contains(1)\n"
     "             ^\n",
     nullptr},
    {"s.contains()",
     "1:1: error[E060]: contains() takes 1 argument, not 0\n"
     "  s.contains()\n"
     "  ^~~~~~~~~~~~\n",
     nullptr},
    {"int()",
     "1:1: error[E060]: int() takes 1 argument, not 0\n"
     "  int()\n"
     "  ^~~~~\n",
     nullptr},
    {"1 in x",
     "1:3: error[E060]: \"in\" has no meaning for int and int\n"
     "  1 in x\n"
     "    ^~\n",
     nullptr},
    {"x in ls",
     "1:3: error[E060]: \"in\" has no meaning for int and list(string)\n"
     "  x in ls\n"
     "    ^~\n",
     nullptr},
    {"l < l",
     "1:3: error[E060]: \"<\" has no meaning for list(int) and list(int)\n"
     "  l < l\n"
     "    ^\n",
     nullptr},
    {"{\"a\": 1, \"a\": 2}",
     "1:10: error[E060]: this key occurs twice in the map\n"
     "  {\"a\": 1, \"a\": 2}\n"
     "           ^~~\n",
     nullptr},
    {"{1.5: 1}",
     "1:2: error[E060]: a double cannot be the key of a map\n"
     "  {1.5: 1}\n"
     "   ^~~\n",
     nullptr},
    {"s.fullMatches(s)",
     "1:15: error[E060]: the pattern of fullMatches must be a literal, so that it is checked now\n"
     "  s.fullMatches(s)\n"
     "                ^\n",
     nullptr},
    {"s.fullMatches(\"(\")",
     "1:15: error[E060]: no RE2 expression (https://github.com/google/re2/wiki/Syntax): missing ): (\n"
     "  s.fullMatches(\"(\")\n"
     "                ^~~\n",
     nullptr},
    {"l.all(i, i)",
     "1:10: error[E060]: what all() asks of each item must be a bool, not an int\n"
     "  l.all(i, i)\n"
     "           ^\n",
     nullptr},
    {"l.all(i)",
     "1:7: error[E067]: expected a name for the item and a comma, as in .all(x, x > 0), not i\n"
     "  l.all(i)\n"
     "        ^\n",
     nullptr},
    {"l.exists(i, l.all(j, j > i))",
     "1:15: error[E062]: a .all() within another would cost their product; write two checks\n"
     "  l.exists(i, l.all(j, j > i))\n"
     "                ^~~\n",
     nullptr},
    {"node.message == \"x\"",
     "1:1: warning[W064]: \"message\" may be absent, and the check fails then; write has(node.message) && ... before "
     "it\n"
     "  node.message == \"x\"\n"
     "  ^~~~~~~~~~~~\n",
     nullptr},
    {"m[\"one\"] == 1",
     "1:1: warning[W064]: \"one\" may be absent, and the check fails then; write has(m[\"one\"]) && ... before it\n"
     "  m[\"one\"] == 1\n"
     "  ^~~~~~~~\n",
     nullptr},
    {"requeue == \"5s\"",
     "1:1: warning[W064]: \"requeue\" may be absent, and the check fails then; write has(requeue) && ... before it\n"
     "  requeue == \"5s\"\n"
     "  ^~~~~~~\n",
     nullptr},
    {"has(node.phase)",
     "1:1: warning[W063]: node.phase is always there, so this has() is always true\n"
     "  has(node.phase)\n"
     "  ^~~~~~~~~~~~~~~\n",
     nullptr},
    {"has(x)",
     "1:1: warning[W063]: x is always there, so this has() is always true\n"
     "  has(x)\n"
     "  ^~~~~~\n",
     nullptr},
    {"has(1)",
     "1:5: error[E067]: has() asks for a field, as in has(a.b)\n"
     "  has(1)\n"
     "      ^\n",
     nullptr},
    {"true",
     "1:1: warning[W063]: this is always true\n"
     "  true\n"
     "  ^~~~\n",
     nullptr},
    {"b || true",
     "1:6: warning[W063]: this is always true\n"
     "  b || true\n"
     "       ^~~~\n",
     nullptr},
    {"1 / 0 == 1 && b",
     "1:1: warning[W063]: this always fails: 1 / 0 divides by zero\n"
     "  1 / 0 == 1 && b\n"
     "  ^~~~~~~~~~\n",
     nullptr},
    {"x == x",
     "1:1: warning[W063]: this is always true: both sides are the same\n"
     "  x == x\n"
     "  ^~~~~~\n",
     nullptr},
    {"s < s",
     "1:1: warning[W063]: this is always false: both sides are the same\n"
     "  s < s\n"
     "  ^~~~~\n",
     nullptr},
    {"x > 1 ? !true : false",
     "1:10: warning[W063]: this is always true\n"
     "  x > 1 ? !true : false\n"
     "           ^~~~\n",
     nullptr},
    {"1u + 1",
     "1:1: error[E067]: unsigned integers are not supported; write it without the u\n"
     "  1u + 1\n"
     "  ^~\n",
     nullptr},
    {"99999999999999999999",
     "1:1: error[E067]: this number does not fit: ints have 64 bits, doubles end near 1.8e308\n"
     "  99999999999999999999\n"
     "  ^~~~~~~~~~~~~~~~~~~~\n",
     nullptr},
    {"\"abc",
     "1:1: error[E067]: this string has no end; write \" behind it\n"
     "  \"abc\n"
     "  ^\n",
     nullptr},
    {"\"a\\q\"",
     "1:3: error[E067]: no such escape; there are \\n \\r \\t \\\\ \\\" \\' \\xHH \\uHHHH \\UHHHHHHHH \\OOO and a few "
     "more of C\n"
     "  \"a\\q\"\n"
     "    ^~\n",
     nullptr},
    {"(x",
     "1:3: error[E067]: expected \")\" to close the parenthesis, but the source ends\n"
     "  (x\n"
     "    ^\n",
     nullptr},
    {"[x",
     "1:3: error[E067]: expected \"]\" to close the list, but the source ends\n"
     "  [x\n"
     "    ^\n",
     nullptr},
    {"x +",
     "1:4: error[E067]: expected a value, but the source ends\n"
     "  x +\n"
     "     ^\n",
     nullptr},
    {"x y",
     "1:3: error[E067]: the expression should end here, not y\n"
     "  x y\n"
     "    ^\n",
     nullptr},
    {"@",
     "1:1: error[E067]: expected a value, not @\n"
     "  @\n"
     "  ^\n",
     nullptr},
    {"and b",
     "1:1: error[E067]: expected a value before \"and\"\n"
     "  and b\n"
     "  ^~~\n",
     nullptr},
    {"a == a.k.exists(e, e == a)",
     "1:1: error[E062]: evaluating this may cost 1229080582 units, which is over the budget of 1000000; look through "
     "shorter lists, or less of them at once\n"
     "  a == a.k.exists(e, e == a)\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~~~~~\n",
     nullptr},
};

constexpr Case kExpr[] = {
    {"response.statusCode = 200",
     "1:21: error[E065]: expr-lang has no operator \"=\"\n"
     "  response.statusCode = 200\n"
     "                      ^\n",
     "response.statusCode == 200"},
    {"response.statuscode == 200",
     "1:10: error[E060]: response has no field \"statuscode\" (did you mean \"statusCode\"?)\n"
     "  response.statuscode == 200\n"
     "           ^~~~~~~~~~\n",
     "response.statusCode == 200"},
    {"respons.statusCode == 200",
     "1:1: error[E061]: there is no variable \"respons\" (did you mean \"response\"?)\n"
     "  respons.statusCode == 200\n"
     "  ^~~~~~~\n",
     "response.statusCode == 200"},
    {"response.statusCode == \"200\"",
     "1:21: error[E060]: \"==\" has no meaning for int and string\n"
     "  response.statusCode == \"200\"\n"
     "                      ^~\n",
     nullptr},
    {"response.body.contains(\"ok\")",
     "1:1: error[E065]: contains() is an operator in expr-lang\n"
     "  response.body.contains(\"ok\")\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~~~~~~~\n",
     "response.body contains \"ok\""},
    {"response.body.matches(\"ok\")",
     "1:1: error[E065]: matches() is an operator in expr-lang\n"
     "  response.body.matches(\"ok\")\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~~~~~~\n",
     "response.body matches \"ok\""},
    {"size(response.body) > 3",
     "1:1: error[E065]: size() is written len(response.body) here\n"
     "  size(response.body) > 3\n"
     "  ^~~~~~~~~~~~~~~~~~~\n",
     "len(response.body) > 3"},
    {"response.body =~ \"ok\"",
     "1:15: error[E065]: expr-lang has no operator \"=~\"\n"
     "  response.body =~ \"ok\"\n"
     "                ^~\n",
     "response.body matches \"ok\""},
    {"response.body !~ \"ok\"",
     "1:15: error[E065]: expr-lang has no operator \"!~\"\n"
     "  response.body !~ \"ok\"\n"
     "                ^~\n",
     "response.body not matches \"ok\""},
    {"response.body == null",
     "1:18: error[E065]: \"null\" is spelled \"nil\" here\n"
     "  response.body == null\n"
     "                   ^~~~\n",
     "response.body == nil"},
    {"asInt(response.body) > 1",
     "1:1: error[E065]: asInt() is written int(response.body) here\n"
     "  asInt(response.body) > 1\n"
     "  ^~~~~~~~~~~~~~~~~~~~\n",
     "int(response.body) > 1"},
    {"toJson(response.body) == \"x\"",
     "1:1: error[E065]: toJson() is written toJSON(response.body) here\n"
     "  toJson(response.body) == \"x\"\n"
     "  ^~~~~~~~~~~~~~~~~~~~~\n",
     "toJSON(response.body) == \"x\""},
    {"fromJson(response.body).ok",
     "1:1: error[E065]: fromJson() is written fromJSON(response.body) here\n"
     "  fromJson(response.body).ok\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~~\n",
     "fromJSON(response.body).ok"},
    {"has(response.body)",
     "1:1: error[E065]: has() is a comparison in expr-lang\n"
     "  has(response.body)\n"
     "  ^~~~~~~~~~~~~~~~~~\n",
     "(response.body != nil)"},
    {"now() > 1",
     "1:1: error[E060]: there is no function now() here: an expression has no clock, so that the same input gives the "
     "same verdict\n"
     "  now() > 1\n"
     "  ^~~\n",
     nullptr},
    {"date(\"x\") == nil",
     "1:1: error[E060]: there is no function date() here: an expression has no clock and no time zones\n"
     "  date(\"x\") == nil\n"
     "  ^~~~\n",
     nullptr},
    {"sprig.trim(response.body)",
     "1:1: error[E060]: the functions of sprig are not supported\n"
     "  sprig.trim(response.body)\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~~~~\n"
     "1:1: error[E061]: there is no variable \"sprig\"; there are request, response\n"
     "  sprig.trim(response.body)\n"
     "  ^~~~~\n",
     nullptr},
    {"jsonpath(response.body, \"$.x\")",
     "1:1: error[E060]: there is no function jsonpath() here: read fields with . and []; of JSON text, behind "
     "fromJSON() where there is one\n"
     "  jsonpath(response.body, \"$.x\")\n"
     "  ^~~~~~~~\n",
     nullptr},
    {"response.body contains 1",
     "1:15: error[E060]: \"contains\" has no meaning for string and int\n"
     "  response.body contains 1\n"
     "                ^~~~~~~~\n",
     nullptr},
    {"response.body matches request.body",
     "1:23: error[E060]: the pattern of matches must be a literal, so that it is checked now\n"
     "  response.body matches request.body\n"
     "                        ^~~~~~~~~~~~\n",
     nullptr},
    {"response.body matches \"(\"",
     "1:23: error[E060]: no RE2 expression (https://github.com/google/re2/wiki/Syntax): missing ): (\n"
     "  response.body matches \"(\"\n"
     "                        ^~~\n",
     nullptr},
    {"\"a\" in response.body",
     "1:1: error[E060]: \"in\" looks into lists and maps, not into text\n"
     "  \"a\" in response.body\n"
     "  ^~~~~~~~~~~~~~~~~~~~\n",
     "response.body contains \"a\""},
    {"# > 1",
     "1:1: error[E067]: there is no # here\n"
     "  # > 1\n"
     "  ^\n",
     nullptr},
    {"any(response.body, # == \"a\")",
     "1:5: error[E060]: any() takes a list here, not a string\n"
     "  any(response.body, # == \"a\")\n"
     "      ^~~~~~~~~~~~~\n",
     nullptr},
    {"filter(response.headers[\"X\"], len(#))",
     "1:31: error[E060]: what filter() asks of each item must be a bool, not an int\n"
     "  filter(response.headers[\"X\"], len(#))\n"
     "                                ^~~~~~\n",
     nullptr},
    {"nil ?? 1 == 1",
     "1:10: error[E067]: write parentheses around ?? where it stands beside another operator\n"
     "  nil ?? 1 == 1\n"
     "           ^~\n",
     nullptr},
    {"response.statusCode.x",
     "1:21: error[E060]: an int has no field \"x\"\n"
     "  response.statusCode.x\n"
     "                      ^\n",
     nullptr},
    {"response.body.Get(\"x\")",
     "1:1: error[E060]: Get() asks the headers of request or response, not a string\n"
     "  response.body.Get(\"x\")\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~\n",
     nullptr},
    {"response.headers.get(\"x\")",
     "1:1: error[E065]: get() is written get(response.headers, \"x\") here\n"
     "  response.headers.get(\"x\")\n"
     "  ^~~~~~~~~~~~~~~~~~~~~~~~~\n",
     "get(response.headers, \"x\")"},
    {"let x 1; x",
     "1:7: error[E067]: expected \"=\" behind the name, not 1\n"
     "  let x 1; x\n"
     "        ^\n",
     nullptr},
    {"if true { 1 }",
     "1:14: error[E067]: expected \"else\", but the source ends\n"
     "  if true { 1 }\n"
     "               ^\n",
     nullptr},
    {"groupBy([1], #)",
     "1:1: error[E060]: there is no function groupBy() here: it is not supported; filter() and count() tell most of "
     "what it would\n"
     "  groupBy([1], #)\n"
     "  ^~~~~~~\n",
     nullptr},
    {"true or response.statusCode == 200",
     "1:1: warning[W063]: this is always true\n"
     "  true or response.statusCode == 200\n"
     "  ^~~~\n",
     nullptr},
    {"!response.statusCode",
     "1:2: error[E060]: the operand of ! must be a bool, not an int\n"
     "  !response.statusCode\n"
     "   ^~~~~~~~~~~~~~~~~~~\n",
     nullptr},
    {"response[request.body]",
     "1:10: error[E060]: a field of response must be named by a literal, as in x.name\n"
     "  response[request.body]\n"
     "           ^~~~~~~~~~~~\n",
     nullptr},
    {"/* x",
     "1:1: error[E067]: this comment has no end; write */ behind it\n"
     "  /* x\n"
     "  ^~\n",
     nullptr},
    {"1 |",
     "1:4: error[E067]: expected a function behind |, but the source ends\n"
     "  1 |\n"
     "     ^\n",
     nullptr},
    {"trim(1)",
     "1:6: error[E060]: trim() takes a string here, not an int\n"
     "  trim(1)\n"
     "       ^\n",
     nullptr},
};

TEST(ExprFindingTest, EachMistakeInAPolicyIsNamedWithItsPlaceAndCorrection) {
  const Fixture fixture = CelFixture();
  for (const Case& test : kCel) Check(fixture, test);
}

TEST(ExprFindingTest, EachMistakeInASuccessConditionIsNamedWithItsPlaceAndCorrection) {
  const Fixture fixture = ExprFixture();
  for (const Case& test : kExpr) Check(fixture, test);
}

TEST(ExprFindingTest, AnExpressionOfSeveralLinesIsShownByTheLineOfTheMistake) {
  const char* const source = "x > 1 &&\n  nod.phase == \"\xC3\xA9\"";
  EXPECT_EQ(Rendered(CelFixture(), source),
            "2:3: error[E061]: there is no variable \"nod\" (did you mean \"node\"?)\n"
            "    nod.phase == \"\xC3\xA9\"\n"
            "    ^~~\n");
}

TEST(ExprFindingTest, TheTypeThatIsExpectedIsAsked) {
  const Fixture fixture = CelFixture();
  const Compiled compiled = Compile("x + 1", Dialect::kCel, fixture.environment, {}, Type::Bool());
  ASSERT_EQ(compiled.findings.size(), 1U);
  EXPECT_EQ(compiled.findings[0].id, "E060");
  EXPECT_EQ(compiled.findings[0].message, "the expression must give a bool, but it gives an int");
  EXPECT_FALSE(compiled.program.has_value());
}

}  // namespace
}  // namespace bulkhead::expr

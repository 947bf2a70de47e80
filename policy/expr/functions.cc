#include "policy/expr/functions.h"

#include <array>

namespace bulkhead::expr {

namespace {

using F = Function;

constexpr std::array<FunctionSpec, 14> kCelFunctions = {{
    {"size", F::kSize, false, false, 1, 1},
    {"size", F::kSize, true, false, 1, 1},
    {"contains", F::kContains, true, false, 2, 2},
    {"startsWith", F::kStartsWith, true, false, 2, 2},
    {"endsWith", F::kEndsWith, true, false, 2, 2},
    {"fullMatches", F::kFullMatches, true, false, 2, 2},
    {"int", F::kInt, false, false, 1, 1},
    {"double", F::kDouble, false, false, 1, 1},
    {"string", F::kString, false, false, 1, 1},
    {"duration", F::kDuration, false, false, 1, 1},
    {"all", F::kAll, true, true, 2, 2},
    {"exists", F::kExists, true, true, 2, 2},
    {"exists_one", F::kExistsOne, true, true, 2, 2},
    {"existsOne", F::kExistsOne, true, true, 2, 2},
}};

constexpr size_t kMany = 64;

constexpr std::array<FunctionSpec, 53> kExprFunctions = {{
    {"len", F::kSize, false, false, 1, 1},
    {"all", F::kAll, false, true, 2, 2},
    {"any", F::kExists, false, true, 2, 2},
    {"one", F::kExistsOne, false, true, 2, 2},
    {"none", F::kNoneOf, false, true, 2, 2},
    {"filter", F::kFilter, false, true, 2, 2},
    {"map", F::kMap, false, true, 2, 2},
    {"count", F::kCount, false, true, 1, 2},
    {"sum", F::kSum, false, true, 1, 2},
    {"find", F::kFind, false, true, 2, 2},
    {"findLast", F::kFindLast, false, true, 2, 2},
    {"findIndex", F::kFindIndex, false, true, 2, 2},
    {"findLastIndex", F::kFindLastIndex, false, true, 2, 2},
    {"reduce", F::kReduce, false, true, 2, 3},
    {"first", F::kFirst, false, false, 1, 1},
    {"last", F::kLast, false, false, 1, 1},
    {"take", F::kTake, false, false, 2, 2},
    {"get", F::kGet, false, false, 2, 2},
    {"keys", F::kKeys, false, false, 1, 1},
    {"values", F::kValues, false, false, 1, 1},
    {"sort", F::kSort, false, false, 1, 2},
    {"reverse", F::kReverse, false, false, 1, 1},
    {"uniq", F::kUniq, false, false, 1, 1},
    {"concat", F::kConcat, false, false, 1, kMany},
    {"min", F::kMin, false, false, 1, kMany},
    {"max", F::kMax, false, false, 1, kMany},
    {"abs", F::kAbs, false, false, 1, 1},
    {"ceil", F::kCeil, false, false, 1, 1},
    {"floor", F::kFloor, false, false, 1, 1},
    {"round", F::kRound, false, false, 1, 1},
    {"int", F::kInt, false, false, 1, 1},
    {"float", F::kDouble, false, false, 1, 1},
    {"string", F::kString, false, false, 1, 1},
    {"type", F::kType, false, false, 1, 1},
    {"toJSON", F::kToJson, false, false, 1, 1},
    {"fromJSON", F::kFromJson, false, false, 1, 1},
    {"toBase64", F::kToBase64, false, false, 1, 1},
    {"fromBase64", F::kFromBase64, false, false, 1, 1},
    {"trim", F::kTrim, false, false, 1, 2},
    {"trimPrefix", F::kTrimPrefix, false, false, 2, 2},
    {"trimSuffix", F::kTrimSuffix, false, false, 2, 2},
    {"upper", F::kUpper, false, false, 1, 1},
    {"lower", F::kLower, false, false, 1, 1},
    {"split", F::kSplit, false, false, 2, 3},
    {"join", F::kJoin, false, false, 1, 2},
    {"replace", F::kReplace, false, false, 3, 4},
    {"repeat", F::kRepeat, false, false, 2, 2},
    {"indexOf", F::kIndexOf, false, false, 2, 2},
    {"lastIndexOf", F::kLastIndexOf, false, false, 2, 2},
    {"hasPrefix", F::kStartsWith, false, false, 2, 2},
    {"hasSuffix", F::kEndsWith, false, false, 2, 2},
    {"Get", F::kHeaderGet, true, false, 2, 2},
    {"Values", F::kHeaderValues, true, false, 2, 2},
}};

struct Absent {
  std::string_view name;
  std::string_view why;
};

constexpr std::array<Absent, 12> kAbsent = {{
    {"now", "an expression has no clock, so that the same input gives the same verdict"},
    {"date", "an expression has no clock and no time zones"},
    {"timestamp", "an expression has no clock and no time zones"},
    {"timezone", "an expression has no clock and no time zones"},
    {"sprig", "the functions of sprig are not supported"},
    {"jsonpath", "read fields with . and []; of JSON text, behind fromJSON() where there is one"},
    {"groupBy", "it is not supported; filter() and count() tell most of what it would"},
    {"sortBy", "it is not supported; map() and then sort() do what most need"},
    {"toPairs", "it is not supported; use keys() and values()"},
    {"fromPairs", "it is not supported"},
    {"bitand", "bit operations are not supported"},
    {"duration", "durations are not supported in a successCondition, which has none to compare with"},
}};

}  // namespace

std::span<const FunctionSpec> FunctionsOf(Dialect dialect) {
  if (dialect == Dialect::kCel) return kCelFunctions;
  return kExprFunctions;
}

const FunctionSpec* FindFunction(Dialect dialect, std::string_view name, bool method) {
  for (const FunctionSpec& spec : FunctionsOf(dialect)) {
    if (spec.name == name && spec.method == method) return &spec;
  }
  return nullptr;
}

std::string_view WhyAbsent(std::string_view name) {
  for (const Absent& absent : kAbsent) {
    if (absent.name == name) return absent.why;
  }
  return {};
}

}  // namespace bulkhead::expr

// The functions of both dialects, as one table. Internal to policy/expr/.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "policy/expr/program.h"

namespace bulkhead::expr {

enum class Function : unsigned char {
  kNone,
  // Text
  kContains,
  kStartsWith,
  kEndsWith,
  kFullMatches,
  kTrim,
  kTrimPrefix,
  kTrimSuffix,
  kUpper,
  kLower,
  kSplit,
  kJoin,
  kReplace,
  kRepeat,
  kIndexOf,
  kLastIndexOf,
  // Conversions
  kInt,
  kDouble,
  kString,
  kDuration,
  kType,
  kToJson,
  kFromJson,
  kToBase64,
  kFromBase64,
  // Numbers
  kAbs,
  kCeil,
  kFloor,
  kRound,
  kSum,
  kMin,
  kMax,
  // Collections
  kSize,
  kFirst,
  kLast,
  kTake,
  kGet,
  kKeys,
  kValues,
  kSort,
  kReverse,
  kUniq,
  kConcat,
  // With a predicate or a mapping over a collection
  kAll,
  kExists,  // any
  kExistsOne,
  kNoneOf,
  kFilter,
  kMap,
  kCount,
  kFind,
  kFindLast,
  kFindIndex,
  kFindLastIndex,
  kReduce,
  // Of headers
  kHeaderGet,
  kHeaderValues,
};

struct FunctionSpec {
  std::string_view name;
  Function function = Function::kNone;
  bool method = false;     // a.f(b) rather than f(a, b); both where it is listed twice
  bool predicate = false;  // its second argument is evaluated for each item
  size_t least = 1;        // arguments, the target of a method included
  size_t most = 1;
};

// nullptr: the dialect has no such function in this form.
const FunctionSpec* FindFunction(Dialect dialect, std::string_view name, bool method);
std::span<const FunctionSpec> FunctionsOf(Dialect dialect);

// Why a function of expr-lang or of Argo's own expressions is not there, as a sentence; empty: never heard of it.
std::string_view WhyAbsent(std::string_view name);

}  // namespace bulkhead::expr

// Expressions of policies and of HTTP templates: compiled once, evaluated often.
//
// Two dialects share one lexer, one tree, one checker and one evaluator:
//   kCel   a statically typed subset of the Common Expression Language, for `checks` and `when`
//   kExpr  expr-lang v1.17, for `successCondition`
// policy/expr/README.md lists what each has and where it differs from its original on purpose.
//
// An evaluation does no I/O, reads no clock, never throws and always ends: its work is counted in cost units (about
// one a node visited, one an item visited, one each 32 bytes of text) against a budget, its memory against another.
//
// Order of evaluation, in both dialects: operands and arguments from left to right, each at most once.
//   a && b     b is evaluated only when a is true
//   a || b     b is evaluated only when a is false
//   c ? a : b  only the chosen one of a and b
//   a ?? b     (kExpr) b only when a is null
//   all, exists, any, none, find, findIndex stop at the item that decides; everything else visits each item
// An error in an operand that is evaluated is the error of the whole: unlike in CEL, `error || true` is an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/expr/finding.h"
#include "policy/expr/reader.h"
#include "policy/expr/type.h"
#include "runner/base/value.h"

namespace bulkhead::expr {

enum class Dialect : unsigned char { kCel, kExpr };

struct Limits {
  size_t source_bytes = 4096;
  size_t depth = 40;   // nesting of the tree; also the deepest recursion of parser, checker and evaluator
  size_t nodes = 800;  // of the tree

  uint64_t cost = 1'000'000;      // budget of one evaluation, in cost units
  bool refuse_by_bound = true;    // E062 when the bound computed at compile time exceeds `cost`
  size_t memory_bytes = 1 << 20;  // what one evaluation may build; bindings are not counted
  // The sizes that the bound assumes where a type gives none. A larger value is held to `cost` when it is evaluated.
  size_t string_bytes = 16U << 10U;
  size_t items = 64;
  size_t key_bytes = 256;  // of the keys of maps
};

// Why an evaluation gave no value.
enum class Fault : unsigned char {
  kNone,
  kAbsent,      // no such field, key, index, or an optional variable that is not bound
  kType,        // an operand is of a type that the operation has no meaning for
  kArithmetic,  // overflow, division by zero
  kConversion,  // int("x"), a malformed duration, base64 or JSON text
  kCost,        // the budget of cost or memory ran out
};
std::string_view FaultName(Fault fault);  // "absent", "type", ...

// Places are those of the source text. The message quotes the source, never a value of a binding.
struct Failure {
  Fault fault = Fault::kNone;
  uint32_t offset = 0;
  uint32_t length = 0;
  std::string message;
};

struct Outcome {
  bool ok = false;
  // When ok. Doubles have a '.' or an exponent in their lexeme, ints have none; infinities and NaN are the
  // strings "Infinity", "-Infinity" and "NaN"; durations are strings such as "90s"; bytes are strings.
  Value value;
  Kind kind = Kind::kNull;  // of the value
  Failure failure;          // when !ok
  uint64_t cost = 0;        // units used
};

struct Truth {
  bool ok = false;
  bool value = false;  // when ok; false otherwise, so that a caller who forgets `ok` denies
  Failure failure;     // when !ok
  uint64_t cost = 0;
};

// Immutable; evaluations may run in many threads at once. Owns all it needs of source and environment.
class Program {
 public:
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;
  ~Program();

  // `bindings` borrows documents in the order of the environment's variables; as many as there are variables.
  Outcome Evaluate(std::span<const Ref> bindings) const;
  // The same for an expression whose value is a bool; anything else is a failure of fault kType. Does not touch the
  // heap unless it fails or builds more than a few kilobytes of text and lists.
  Truth Decide(std::span<const Ref> bindings) const;

  const std::string& source() const;
  const Type& result_type() const;
  // No evaluation over bindings within their sizes uses more. Saturates at UINT64_MAX.
  uint64_t cost_bound() const;
  // Index in Environment::variables() of each variable that is read, ascending.
  const std::vector<size_t>& variables_read() const;
  // What is read of them, as far as the source alone tells it: the variable's name, then members and literal keys, as
  // in {"node", "outputs", "parameters", "ts"}. A list that is looked through, or a key that is computed, ends a path:
  // all below it may be read then.
  std::vector<std::vector<std::string>> PathsRead() const;

  struct State;
  explicit Program(std::unique_ptr<const State> state);

 private:
  std::unique_ptr<const State> state_;
};

struct Compiled {
  std::optional<Program> program;  // when there is no error
  std::vector<Finding> findings;   // errors and warnings, in the order of the source
};

// `expected`: the type that the value must have (checks, `when` and successCondition: bool); any for whatever it is.
// Never throws; reports every error it can tell from the others' consequences.
Compiled Compile(std::string_view source, Dialect dialect, const Environment& environment, const Limits& limits = {},
                 const Type& expected = Type::Any());

}  // namespace bulkhead::expr

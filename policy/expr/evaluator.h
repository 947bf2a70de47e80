// One evaluation of a tree. Internal to policy/expr/.
//
// Every function that can fail returns false then, with failure() filled in. What is charged here is what bound.cc
// adds up for the worst case: a change of one is a change of both.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/expr/operand.h"
#include "policy/expr/tree.h"

namespace bulkhead::expr {

// Units for looking at or writing `bytes` of text.
inline uint64_t TextUnits(uint64_t bytes) {
  return bytes / 32;
}
// Units for matching a pattern against `bytes` of text, which RE2 does in linear time.
inline uint64_t PatternUnits(uint64_t bytes) {
  return bytes / 8;
}
// Units for finding a key among `entries`, which are compared one by one.
inline uint64_t FindUnits(uint64_t entries) {
  return entries / 8;
}

class Evaluator {
 public:
  // Borrows everything.
  Evaluator(std::string_view source, Dialect dialect, const Environment& environment, const Limits& limits,
            const Tree& tree, std::span<const Ref> bindings);

  bool Run(NodeId root, Operand& out);
  const Failure& failure() const { return failure_; }
  uint64_t cost() const { return cost_; }

  // The same as a tree of its own.
  bool ToValue(const Operand& operand, NodeId place, Value& out, size_t depth = 0);

 private:
  bool cel() const { return dialect_ == Dialect::kCel; }
  bool Fail(Fault fault, NodeId place, std::string message);
  bool Charge(uint64_t units, NodeId place);
  std::string Quote(NodeId id) const;
  bool WrongType(NodeId place, std::string_view wanted, const Operand& found);

  template <typename T>
  bool Make(size_t count, NodeId place, T*& out) {
    out = arena_.Array<T>(count);
    return out != nullptr || Fail(Fault::kCost, place, "the evaluation needs too much memory");
  }
  // A copy in the arena.
  bool Keep(std::string_view text, NodeId place, Operand& out, Kind kind = Kind::kString);

  bool Eval(NodeId id, Operand& out);
  bool EvalBool(NodeId id, bool& out);
  bool EvalLogic(NodeId id, Operand& out);
  bool EvalUnary(NodeId id, Operand& out);
  bool EvalBinary(NodeId id, Operand& out);
  bool EvalCoalesce(NodeId id, Operand& out);
  bool EvalConditional(NodeId id, Operand& out);
  bool EvalList(NodeId id, Operand& out);
  bool EvalMap(NodeId id, Operand& out);
  bool EvalSlice(NodeId id, Operand& out);

  // eval_access.cc
  bool EvalVariable(NodeId id, Operand& out);
  bool EvalMember(NodeId id, Operand& out);
  bool Present(NodeId id, Operand& out, bool& present);
  bool Lookup(const Operand& target, const Operand& key, NodeId place, Operand& out, bool& found);
  bool LookupKey(const Operand& target, NodeId place, Operand& out, bool& found);
  bool Load(Ref ref, const Type& type, NodeId place, Operand& out);
  size_t Count(const Operand& collection) const;
  bool Item(const Operand& list, size_t index, NodeId place, Operand& out);
  bool Entries(const Operand& map, NodeId place, Operand& out);  // a computed map of the same entries

  // eval_operators.cc
  bool Equal(const Operand& a, const Operand& b, NodeId place, bool& out, size_t depth = 0);
  bool Order(const Operand& a, const Operand& b, NodeId place, int& out);
  bool In(const Operand& needle, const Operand& hay, NodeId place, bool& out);
  bool Arithmetic(Op op, const Operand& a, const Operand& b, NodeId place, Operand& out);
  bool IntArithmetic(Op op, int64_t a, int64_t b, NodeId place, Operand& out);
  bool Join(const Operand& a, const Operand& b, NodeId place, Operand& out);
  bool Range(const Operand& a, const Operand& b, NodeId place, Operand& out);
  bool TextOperator(NodeId id, const Operand& a, const Operand& b, Operand& out);

  // eval_call.cc, eval_text.cc, eval_collection.cc, eval_predicate.cc
  bool EvalCall(NodeId id, Operand& out);
  bool CallText(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallSplit(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallJoin(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallReplace(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallConversion(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallString(NodeId id, const Operand& operand, Operand& out);
  bool CallFromJson(NodeId id, const Operand& operand, Operand& out);
  bool CallNumbers(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallExtreme(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallCollection(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallSize(NodeId id, const Operand& operand, Operand& out);
  bool CallSort(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool CallUniq(NodeId id, const Operand& list, Operand& out);
  bool CallHeaders(NodeId id, std::span<const Operand> arguments, Operand& out);
  bool EvalPredicate(NodeId id, Operand& out);
  bool EvalReduce(NodeId id, const Operand& list, Operand& out);
  bool EvalSum(NodeId id, const Operand& list, Operand& out);

  const std::string_view source_;
  const Dialect dialect_;
  const Environment& environment_;
  const Limits& limits_;
  const Tree& tree_;
  const std::span<const Ref> bindings_;
  Arena arena_;
  Operand* locals_ = nullptr;
  std::vector<std::unique_ptr<Value>> parsed_;  // documents that fromJSON made
  Failure failure_;
  uint64_t cost_ = 0;
  bool broken_ = false;  // a ?. found nothing: the rest of its chain is passed over
};

}  // namespace bulkhead::expr

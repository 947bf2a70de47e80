// Types of a tree: unknown names, operations without a meaning, optional fields without has(). Internal to
// policy/expr/.
#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/expr/tree.h"

namespace bulkhead::expr {

// Fills in Node::type, index, reads, free_locals and pattern. What is wrong with a node does not make its parents
// wrong too: its type is any from there on. Recursive to the height of the tree.
class Checker {
 public:
  Checker(std::string_view source, Dialect dialect, const Environment& environment, Tree& tree,
          std::vector<Finding>& findings)
      : source_(source), dialect_(dialect), environment_(environment), tree_(tree), findings_(findings) {}

  void Run(const Type& expected);

 private:
  bool cel() const { return dialect_ == Dialect::kCel; }
  std::string Text(NodeId id) const;
  // `place`: the node that is wrong.
  void Report(std::string_view id, NodeId place, std::string message, std::string fixit = "");

  Type Check(NodeId id);
  Type CheckVariable(NodeId id);
  Type CheckMember(NodeId id);
  Type CheckIndex(NodeId id);
  Type CheckSlice(NodeId id);
  Type CheckHas(NodeId id);
  Type CheckUnary(NodeId id);
  Type CheckBinary(NodeId id);
  Type CheckLogic(NodeId id);
  Type CheckEquality(NodeId id, const Type& left, const Type& right);
  Type CheckOrder(NodeId id, const Type& left, const Type& right);
  Type CheckIn(NodeId id, const Type& left, const Type& right);
  Type CheckArithmetic(NodeId id, const Type& left, const Type& right);
  Type CheckConditional(NodeId id);
  Type CheckList(NodeId id);
  Type CheckMap(NodeId id);
  Type CheckLet(NodeId id);

  // check_call.cc
  Type CheckCall(NodeId id);
  Type CheckPredicate(NodeId id);
  Type CheckText(NodeId id);
  Type CheckConversion(NodeId id);
  Type CheckNumbers(NodeId id);
  Type CheckCollection(NodeId id);
  Type CheckHeaders(NodeId id);
  // Whether child `index` is of one of these kinds or any; reports it if not.
  bool Argument(NodeId id, size_t index, std::initializer_list<Kind> kinds);
  void Compile(NodeId owner, NodeId pattern, std::string_view name);

  void ExpectBool(NodeId id, std::string_view what);
  Type Mismatch(NodeId id, const Type& left, const Type& right);
  Type Element(const Type& collection) const;  // what a predicate is evaluated for
  void RequirePresent(NodeId id, std::string_view name);

  // What is known to be present when `id` is true or false.
  void Facts(NodeId id, bool truth, std::set<std::string>& out) const;
  std::optional<std::string> Path(NodeId id) const;
  static std::string KeyOf(uint32_t slot);  // the step of a path whose key is a local

  const std::string_view source_;
  const Dialect dialect_;
  const Environment& environment_;
  Tree& tree_;
  std::vector<Finding>& findings_;
  std::vector<Type> locals_ = std::vector<Type>(kMostSlots);
  std::set<std::string> facts_;
  bool in_has_ = false;
};

// Whether a value of one type can be equal to one of the other.
bool Comparable(const Type& a, const Type& b);
bool IsNumber(const Type& type);
std::string Named(const Type& type);  // "an int", "a string": for sentences

}  // namespace bulkhead::expr

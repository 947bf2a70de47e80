// The tree of an expression, the same for both dialects. Internal to policy/expr/.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "policy/expr/functions.h"
#include "policy/expr/program.h"

namespace bulkhead::expr {

enum class NodeKind : unsigned char {
  kLiteral,
  kVariable,     // index: in the environment
  kLocal,        // index: the slot; `let`, a macro's variable, #, #index, #acc
  kMember,       // child 0 . text
  kIndex,        // child 0 [ child 1 ]
  kSlice,        // child 0 [ child 1 : child 2 ]; a bound left out is a literal null
  kChain,        // around a chain with a ?. in it: null when that found nothing
  kHas,          // has(child 0), child 0 a kMember, kIndex or kVariable
  kUnary,        // op child 0
  kBinary,       // child 0 op child 1; && and || take any number of children
  kConditional,  // child 0 ? child 1 : child 2
  kList,         // the children
  kMap,          // keys and values by turns
  kCall,         // function(children)
  kLet,          // slot index = child 0; value: child 1
};

enum class Op : unsigned char {
  kNone,
  kNot,
  kNegate,
  kPlus,
  kAnd,
  kOr,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
  kRange,
  kCoalesce,
  kContains,
  kStartsWith,
  kEndsWith,
  kMatches,
};

using NodeId = uint32_t;

struct Node {
  NodeKind kind = NodeKind::kLiteral;
  Op op = Op::kNone;
  Function function = Function::kNone;
  bool optional = false;  // kMember, kIndex: ?.
  bool grouped = false;   // stood in parentheses of its own, which its place includes
  bool checked = false;   // by the checker: a node may have two parents
  uint32_t offset = 0;
  uint32_t length = 0;
  uint32_t op_offset = 0;  // of the operator's, member's or function's own text
  uint32_t op_length = 0;
  uint32_t height = 1;
  uint32_t index = 0;        // variable, slot; a call with a predicate: its first slot (item, index, accumulator)
  uint64_t free_locals = 0;  // slots that are read within and bound without
  bool reads = false;        // a variable of the environment
  std::vector<NodeId> children;
  std::string text;  // string and bytes literals, names
  int64_t integer = 0;
  double number = 0;
  bool boolean = false;
  Type type;
  std::unique_ptr<RE2> pattern;
};

struct Tree {
  std::vector<Node> nodes;
  NodeId root = 0;
  uint32_t slots = 0;

  Node& operator[](NodeId id) { return nodes[id]; }
  const Node& operator[](NodeId id) const { return nodes[id]; }
};

// More than these would not fit Node::free_locals.
inline constexpr uint32_t kMostSlots = 64;

}  // namespace bulkhead::expr

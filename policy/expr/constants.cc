#include "policy/expr/constants.h"

#include <string>

#include "policy/expr/evaluator.h"

namespace bulkhead::expr {

namespace {

class Constants {
 public:
  Constants(std::string_view source, Dialect dialect, const Environment& environment, const Limits& limits,
            const Tree& tree, std::vector<Finding>& findings)
      : source_(source),
        dialect_(dialect),
        environment_(environment),
        limits_(limits),
        tree_(tree),
        findings_(findings),
        visited_(tree.nodes.size()) {}

  // `decides`: the value of this node is a verdict, or a part of one.
  void Visit(NodeId id, bool decides) {
    if (visited_[id]) return;
    visited_[id] = true;
    const Node& node = tree_[id];
    if (decides && !node.reads && node.free_locals == 0) return Report(id);
    if (node.kind == NodeKind::kBinary && node.children.size() == 2) Same(node);
    const bool logic = node.kind == NodeKind::kBinary && (node.op == Op::kAnd || node.op == Op::kOr);
    const bool negation = node.kind == NodeKind::kUnary && node.op == Op::kNot;
    for (size_t i = 0; i < node.children.size(); ++i) {
      Visit(node.children[i], logic || negation || (node.kind == NodeKind::kConditional && i == 0));
    }
  }

 private:
  void Add(const Node& node, std::string message) {
    findings_.push_back({"W063", node.offset, node.length, std::move(message), ""});
  }

  void Report(NodeId id) {
    Evaluator evaluator(source_, dialect_, environment_, limits_, tree_, {});
    Operand value;
    if (!evaluator.Run(id, value)) {
      Add(tree_[id], "this always fails: " + evaluator.failure().message);
    } else if (value.Is(Kind::kBool)) {
      Add(tree_[id], std::string("this is always ") + (value.boolean ? "true" : "false"));
    }
  }

  void Same(const Node& node) {
    const Node& left = tree_[node.children[0]];
    const Node& right = tree_[node.children[1]];
    if (!left.reads && left.free_locals == 0) return;
    if (source_.substr(left.offset, left.length) != source_.substr(right.offset, right.length)) return;
    switch (node.op) {
      case Op::kEqual:
      case Op::kLessEqual:
      case Op::kGreaterEqual: return Add(node, "this is always true: both sides are the same");
      case Op::kNotEqual:
      case Op::kLess:
      case Op::kGreater: return Add(node, "this is always false: both sides are the same");
      default: return;
    }
  }

  const std::string_view source_;
  const Dialect dialect_;
  const Environment& environment_;
  const Limits& limits_;
  const Tree& tree_;
  std::vector<Finding>& findings_;
  std::vector<bool> visited_;
};

}  // namespace

void FindConstants(std::string_view source, Dialect dialect, const Environment& environment, const Limits& limits,
                   const Tree& tree, std::vector<Finding>& findings) {
  Constants(source, dialect, environment, limits, tree, findings)
      .Visit(tree.root, tree[tree.root].type.Is(Kind::kBool));
}

}  // namespace bulkhead::expr

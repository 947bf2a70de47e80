// The parser's own state, and what its two halves share: parser.cc has the operators and values, parse_call.cc the
// calls. Internal to parser.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/expr/lexer.h"
#include "policy/expr/operators.h"
#include "policy/expr/spelling.h"
#include "policy/expr/tree.h"
#include "runner/base/text.h"

namespace bulkhead::expr {

class Parser {
 public:
  Parser(std::string_view source, Dialect dialect, const Limits& limits, std::vector<Finding>& findings)
      : source_(source),
        dialect_(dialect),
        limits_(limits),
        findings_(findings),
        tokens_(Tokenize(source, dialect, findings)),
        spelling_(source, dialect, tree_, findings) {
    failed_ = tokens_.empty() || tokens_.back().kind != TokenKind::kEnd;
    tree_.nodes.emplace_back();  // what a failed production returns: a null that no tree without a failure holds
  }

  Tree Run() {
    if (!failed_) {
      tree_.root = Expression();
      if (!failed_ && Current().kind != TokenKind::kEnd) Unexpected("the expression should end here");
    }
    return std::move(tree_);
  }

 private:
  // --- tokens -------------------------------------------------------------------------------------

  bool cel() const { return dialect_ == Dialect::kCel; }

  // After a failure the rest of the source is as good as empty, so that every loop ends.
  const Token& Current() const { return failed_ ? kEnd : tokens_[at_]; }
  const Token& Ahead(size_t count) const {
    return failed_ || at_ + count >= tokens_.size() ? kEnd : tokens_[at_ + count];
  }
  void Advance() {
    if (failed_ || tokens_[at_].kind == TokenKind::kEnd) return;
    end_ = tokens_[at_].offset + tokens_[at_].length;
    ++at_;
  }
  bool Accept(std::string_view op) {
    if (!Current().IsOperator(op)) return false;
    Advance();
    return true;
  }
  void Expect(std::string_view op, std::string_view where) {
    if (!Accept(op)) Unexpected("expected \"" + std::string(op) + "\" " + std::string(where));
  }

  void Fail(uint32_t offset, uint32_t length, std::string message) {
    if (failed_) return;
    failed_ = true;
    // The end of the source has a place, and no text.
    length = std::min(length, static_cast<uint32_t>(source_.size()) - offset);
    findings_.push_back({"E067", offset, length, std::move(message), ""});
  }
  void Unexpected(const std::string& what) {
    const Token token = Current();
    const std::string found = token.kind == TokenKind::kEnd
                                  ? "but the source ends"
                                  : "not " + EscapeForTerminal(source_.substr(token.offset, token.length));
    Fail(token.offset, token.length, what + ", " + found);
  }

  // --- nodes --------------------------------------------------------------------------------------

  NodeId Add(Node node, uint32_t begin) {
    node.offset = begin;
    node.length = end_ > begin ? end_ - begin : 0;
    for (const NodeId child : node.children) node.height = std::max(node.height, tree_[child].height + 1);
    if (node.height > limits_.depth) TooDeep(node.offset);
    if (tree_.nodes.size() >= limits_.nodes) {
      Fail(node.offset, node.length, "the expression has more than " + std::to_string(limits_.nodes) + " parts");
      return 0;
    }
    tree_.nodes.push_back(std::move(node));
    return static_cast<NodeId>(tree_.nodes.size() - 1);
  }
  NodeId Add(NodeKind kind, std::vector<NodeId> children, uint32_t begin) {
    Node node;
    node.kind = kind;
    node.children = std::move(children);
    return Add(std::move(node), begin);
  }
  NodeId AddBinary(Op op, NodeId left, NodeId right, const Token& token) {
    Node node;
    node.kind = NodeKind::kBinary;
    node.op = op;
    node.op_offset = token.offset;
    node.op_length = token.length;
    const uint32_t begin = tree_[left].offset;
    node.children = {left, right};
    return Add(std::move(node), begin);
  }
  NodeId AddUnary(Op op, NodeId child, uint32_t begin) {
    Node node;
    node.kind = NodeKind::kUnary;
    node.op = op;
    node.op_offset = begin;
    node.op_length = 1;
    node.children = {child};
    return Add(std::move(node), begin);
  }
  NodeId AddNull(uint32_t begin) {
    Node node;
    node.type = Type::Null();
    return Add(std::move(node), begin);
  }
  NodeId AddString(std::string text, uint32_t begin) {
    Node node;
    node.type = Type::String();
    node.text = std::move(text);
    return Add(std::move(node), begin);
  }

  void TooDeep(uint32_t offset) {
    Fail(offset, 1, "the expression is nested more than " + std::to_string(limits_.depth) + " deep");
  }

  // Counts the recursion of the parser itself: some productions a level of the tree.
  class Nested {
   public:
    explicit Nested(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > kRecursion * parser_.limits_.depth) parser_.TooDeep(parser_.Current().offset);
    }
    ~Nested() { --parser_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Parser& parser_;
  };

  // --- scopes -------------------------------------------------------------------------------------

  struct Local {
    std::string name;  // "#", "#index" and "#acc" for those of a predicate
    uint32_t slot;
  };

  uint32_t Push(std::string name) {
    const auto slot = static_cast<uint32_t>(locals_.size());
    if (slot >= kMostSlots) Fail(Current().offset, 1, "there are too many variables within each other");
    locals_.push_back({std::move(name), slot});
    tree_.slots = std::max(tree_.slots, slot + 1);
    return slot;
  }
  void Pop(size_t count) { locals_.resize(locals_.size() - count); }
  const Local* FindLocal(std::string_view name) const {
    for (size_t i = locals_.size(); i-- > 0;) {
      if (locals_[i].name == name) return &locals_[i];
    }
    return nullptr;
  }
  NodeId AddLocal(const Local& local, uint32_t begin) {
    Node node;
    node.kind = NodeKind::kLocal;
    node.index = local.slot;
    node.text = local.name;
    return Add(std::move(node), begin);
  }

  // --- grammar: parser.cc -------------------------------------------------------------------------

  NodeId Expression();
  NodeId Let();
  NodeId If();
  NodeId Conditional(NodeId condition);
  NodeId Binary(int least);
  static bool Inverts(const Token& token);
  NodeId Combine(const BinaryOperator& op, bool negated, NodeId left, NodeId right, const Token& token);
  bool IsChained(NodeId id) const;
  NodeId Flat(Op op, NodeId left, NodeId right, const Token& token);
  NodeId Pipe(NodeId value);
  NodeId Unary();
  NodeId Postfix(NodeId target);
  NodeId Member(NodeId target, uint32_t begin, bool optional);
  NodeId Index(NodeId target, uint32_t begin, bool optional);
  NodeId Primary();
  NodeId Word(const Token& token);
  NodeId Pointer(const Token& token);
  NodeId List(uint32_t begin);
  NodeId Map(uint32_t begin);

  // --- calls: parse_call.cc -----------------------------------------------------------------------

  NodeId Method(NodeId target, const Token& name, uint32_t begin);
  void Arguments(std::vector<NodeId>& arguments);
  NodeId Macro(const FunctionSpec& spec, NodeId target, const Token& name, uint32_t begin);
  NodeId Call(const Token& name, uint32_t begin, std::vector<NodeId> arguments);
  NodeId Predicate(const FunctionSpec* spec, uint32_t& slot);
  NodeId AddCall(const Token& name, Function function, std::vector<NodeId> arguments, uint32_t slot, uint32_t begin);
  NodeId Has(const Token& name);
  NodeId Finish(const Token& name, const FunctionSpec* spec, bool method, std::vector<NodeId> arguments,
                uint32_t begin);

  static inline const Token kEnd = {};
  static constexpr size_t kRecursion = 4;
  static constexpr uint64_t kLeast = uint64_t{1} << 63U;

  const std::string_view source_;
  const Dialect dialect_;
  const Limits& limits_;
  std::vector<Finding>& findings_;
  std::vector<Token> tokens_;
  Tree tree_;
  Spelling spelling_;
  std::vector<Local> locals_;
  size_t at_ = 0;
  uint32_t end_ = 0;  // of the last token taken
  size_t depth_ = 0;
  bool in_macro_ = false;
  bool failed_ = false;
};

}  // namespace bulkhead::expr

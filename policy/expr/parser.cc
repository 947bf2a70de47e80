#include "policy/expr/parser.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "policy/expr/operators.h"
#include "policy/expr/spelling.h"
#include "runner/base/text.h"

namespace bulkhead::expr {

namespace {

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

  // --- grammar ------------------------------------------------------------------------------------

  NodeId Expression() {
    const Nested nested(*this);
    if (failed_) return 0;
    if (!cel() && Current().IsWord("let")) return Let();
    if (!cel() && Current().IsWord("if")) return If();
    return Conditional(Binary(kLowestPrecedence));
  }

  NodeId Let() {
    const uint32_t begin = Current().offset;
    Advance();
    const Token name = Current();
    if (name.kind != TokenKind::kWord) Unexpected("expected a name behind \"let\"");
    Advance();
    Expect("=", "behind the name");
    const NodeId value = Expression();
    Expect(";", "behind the value of \"let\"");
    Node node;
    node.kind = NodeKind::kLet;
    node.index = Push(name.text);
    node.text = name.text;
    const NodeId body = Expression();
    Pop(1);
    node.children = {value, body};
    return Add(std::move(node), begin);
  }

  NodeId If() {
    const uint32_t begin = Current().offset;
    Advance();
    const NodeId condition = Expression();
    Expect("{", "before what \"if\" gives");
    const NodeId yes = Expression();
    Expect("}", "behind what \"if\" gives");
    if (!Current().IsWord("else")) Unexpected("expected \"else\"");
    Advance();
    if (Current().IsWord("if")) {
      const Nested nested(*this);
      return failed_ ? 0 : Add(NodeKind::kConditional, {condition, yes, If()}, begin);
    }
    Expect("{", "before what \"else\" gives");
    const NodeId no = Expression();
    Expect("}", "behind what \"else\" gives");
    return Add(NodeKind::kConditional, {condition, yes, no}, begin);
  }

  NodeId Conditional(NodeId condition) {
    while (Current().IsOperator("?")) {
      const uint32_t begin = tree_[condition].offset;
      Advance();
      NodeId yes = condition;
      if (cel() || !Current().IsOperator(":")) {
        yes = cel() ? Binary(kLowestPrecedence) : Expression();
      }
      Expect(":", "between the two values of the conditional");
      const NodeId no = Expression();
      condition = Add(NodeKind::kConditional, {condition, yes, no}, begin);
    }
    return condition;
  }

  NodeId Binary(int least) {
    const Nested nested(*this);
    if (failed_) return 0;
    NodeId left = Unary();
    bool coalesced = false;
    for (;;) {
      const bool inverted = Current().IsWord("not") && Inverts(Ahead(1));
      const Token token = inverted ? Ahead(1) : Current();
      const BinaryOperator* const op = FindBinary(token);
      if (op == nullptr || op->precedence < least) return left;
      const uint32_t begin = Current().offset;
      if (inverted) Advance();
      Advance();
      if (coalesced != (op->op == Op::kCoalesce) && coalesced && !cel()) {
        Fail(token.offset, token.length, "write parentheses around ?? where it stands beside another operator");
        return left;
      }
      coalesced = op->op == Op::kCoalesce;
      if (op->op == Op::kNone && !cel()) {
        left = Pipe(left);
        continue;
      }
      const NodeId right = Binary(op->right ? op->precedence : op->precedence + 1);
      if (failed_) return left;
      Token whole = token;
      whole.offset = begin;
      whole.length = token.offset + token.length - begin;
      left = Combine(*op, inverted || op->negated, left, right, whole);
    }
  }

  static bool Inverts(const Token& token) {
    return token.IsWord("in") || token.IsWord("contains") || token.IsWord("startsWith") || token.IsWord("endsWith") ||
           token.IsWord("matches");
  }

  NodeId Combine(const BinaryOperator& op, bool negated, NodeId left, NodeId right, const Token& token) {
    const bool native = (cel() ? op.cel : op.expr) && !(cel() && negated);
    if (!native) spelling_.Binary(op, negated, left, right, token);
    const uint32_t begin = tree_[left].offset;
    NodeId result = 0;
    if (cel() && op.op == Op::kCoalesce) {
      result = Add(NodeKind::kConditional, {Add(NodeKind::kHas, {left}, begin), left, right}, begin);
    } else if (op.op == Op::kAnd || op.op == Op::kOr || op.op == Op::kNone) {
      result = Flat(op.op == Op::kNone ? Op::kOr : op.op, left, right, token);
    } else if (!cel() && IsComparison(op.op) && IsChained(left)) {
      // a < b < c: b is compared with both. It is evaluated twice, which nothing can tell.
      const Node& before = tree_[left];
      const NodeId middle = before.op == Op::kAnd ? tree_[before.children.back()].children[1] : before.children[1];
      result = Flat(Op::kAnd, left, AddBinary(op.op, middle, right, token), token);
    } else {
      result = AddBinary(op.op, left, right, token);
    }
    return negated ? AddUnary(Op::kNot, result, begin) : result;
  }

  bool IsChained(NodeId id) const {
    const Node& node = tree_[id];
    if (node.kind != NodeKind::kBinary || node.grouped) return false;
    return IsComparison(node.op) || (node.op == Op::kAnd && IsChained(node.children.back()));
  }

  // A row of one operator is one node, so that its length does not count as depth.
  NodeId Flat(Op op, NodeId left, NodeId right, const Token& token) {
    Node& before = tree_[left];
    if (before.kind != NodeKind::kBinary || before.op != op || before.grouped) return AddBinary(op, left, right, token);
    before.children.push_back(right);
    before.length = end_ - before.offset;
    before.height = std::max(before.height, tree_[right].height + 1);
    if (before.height > limits_.depth) TooDeep(before.offset);
    return left;
  }

  // `value | name(arguments)`: the value becomes the first argument.
  NodeId Pipe(NodeId value) {
    const Token name = Current();
    if (name.kind != TokenKind::kWord) {
      Unexpected("expected a function behind |");
      return value;
    }
    Advance();
    return Postfix(Call(name, tree_[value].offset, {value}));
  }

  NodeId Unary() {
    const Token token = Current();
    const bool word = token.IsWord("not");
    if (word || token.IsOperator("!")) {
      Advance();
      if (word && cel()) spelling_.Not(token);
      const NodeId child = Binary(cel() ? kCelUnary : kExprNot);
      return AddUnary(Op::kNot, child, token.offset);
    }
    if (token.IsOperator("-") || (token.IsOperator("+") && !cel())) {
      Advance();
      if (token.text == "-" && Current().kind == TokenKind::kInt && Current().magnitude == kLeast) {
        Node node;
        node.type = Type::Int();
        node.integer = INT64_MIN;
        Advance();
        return Add(std::move(node), token.offset);
      }
      const NodeId child = Binary(cel() ? kCelUnary : kExprSign);
      return AddUnary(token.text == "-" ? Op::kNegate : Op::kPlus, child, token.offset);
    }
    return Postfix(Primary());
  }

  NodeId Postfix(NodeId target) {
    bool chain = false;
    const uint32_t begin = tree_[target].offset;
    for (;;) {
      const Token token = Current();
      const bool optional = token.IsOperator("?.");
      if (optional && cel()) spelling_.OptionalChaining(token);
      if (optional || token.IsOperator(".")) {
        Advance();
        if (optional && Current().IsOperator("[")) {
          Advance();
          target = Index(target, begin, true);
        } else {
          target = Member(target, begin, optional);
        }
      } else if (token.IsOperator("[")) {
        Advance();
        target = Index(target, begin, false);
      } else {
        break;
      }
      chain = chain || optional;
    }
    return chain ? Add(NodeKind::kChain, {target}, begin) : target;
  }

  NodeId Member(NodeId target, uint32_t begin, bool optional) {
    const Token name = Current();
    if (name.kind != TokenKind::kWord) {
      Unexpected("expected a name behind the dot");
      return target;
    }
    Advance();
    if (Current().IsOperator("(")) return Method(target, name, begin);
    Node node;
    node.kind = NodeKind::kMember;
    node.text = name.text;
    node.optional = optional;
    node.op_offset = name.offset;
    node.op_length = name.length;
    node.children = {target};
    return Add(std::move(node), begin);
  }

  NodeId Index(NodeId target, uint32_t begin, bool optional) {
    const uint32_t at = Current().offset;
    const bool open = !cel() && Current().IsOperator(":");
    const NodeId first = open ? AddNull(at) : Expression();
    if (!cel() && Accept(":")) {
      const NodeId second = Current().IsOperator("]") ? AddNull(Current().offset) : Expression();
      Expect("]", "behind the slice");
      return Add(NodeKind::kSlice, {target, first, second}, begin);
    }
    Expect("]", "behind the index");
    Node node;
    node.kind = NodeKind::kIndex;
    node.optional = optional;
    node.children = {target, first};
    if (!failed_) node.op_offset = tree_[first].offset;
    if (!failed_) node.op_length = tree_[first].length;
    return Add(std::move(node), begin);
  }

  NodeId Primary() {
    const Token token = Current();
    if (Accept("(")) {
      const NodeId inner = Expression();
      Expect(")", "to close the parenthesis");
      if (failed_) return 0;
      tree_[inner].grouped = true;
      tree_[inner].offset = token.offset;
      tree_[inner].length = end_ - token.offset;
      return inner;
    }
    if (Accept("[")) return List(token.offset);
    if (Accept("{")) return Map(token.offset);
    if (token.kind == TokenKind::kPointer || (token.IsOperator(".") && !cel())) return Pointer(token);
    Node node;
    switch (token.kind) {
      case TokenKind::kInt:
        if (token.magnitude > INT64_MAX) {
          Fail(token.offset, token.length, "this number does not fit: ints have 64 bits, doubles end near 1.8e308");
        }
        node.type = Type::Int();
        node.integer = static_cast<int64_t>(token.magnitude);
        break;
      case TokenKind::kDouble:
        node.type = Type::Double();
        node.number = token.number;
        break;
      case TokenKind::kString:
        node.type = Type::String();
        node.text = token.text;
        break;
      case TokenKind::kBytes:
        node.type = Type::Bytes();
        node.text = token.text;
        break;
      case TokenKind::kWord: return Word(token);
      default: Unexpected("expected a value"); return 0;
    }
    Advance();
    return Add(std::move(node), token.offset);
  }

  NodeId Word(const Token& token) {
    Advance();
    Node node;
    const bool nil = token.text == "nil";
    if (token.text == "true" || token.text == "false") {
      node.type = Type::Bool();
      node.boolean = token.text == "true";
      return Add(std::move(node), token.offset);
    }
    if ((token.text == "null" && cel()) || nil) {
      if (nil && cel()) spelling_.Replace(token, "null");
      return AddNull(token.offset);
    }
    if (Current().IsOperator("(")) return Call(token, token.offset, {});
    if (const Local* const local = FindLocal(token.text)) return AddLocal(*local, token.offset);
    if (token.text == "null" && !cel()) {
      spelling_.Replace(token, "nil");
      return AddNull(token.offset);
    }
    if (FindBinary(token) != nullptr || token.text == "not") {
      Fail(token.offset, token.length, "expected a value before \"" + token.text + "\"");
    }
    node.kind = NodeKind::kVariable;
    node.text = token.text;
    return Add(std::move(node), token.offset);
  }

  // #, #index, #acc, and .field for #.field
  NodeId Pointer(const Token& token) {
    const std::string name = "#" + (token.kind == TokenKind::kPointer ? token.text : "");
    const Local* const local = FindLocal(name);
    if (local == nullptr || cel()) {
      Fail(token.offset, token.length,
           cel() ? "predicates are written all(x, x > 0) here: name the item" : "there is no " + name + " here");
      return 0;
    }
    if (token.kind == TokenKind::kPointer) Advance();
    return AddLocal(*local, token.offset);
  }

  NodeId List(uint32_t begin) {
    std::vector<NodeId> items;
    while (!failed_ && !Current().IsOperator("]")) {
      items.push_back(Expression());
      if (!Accept(",")) break;
    }
    Expect("]", "to close the list");
    return Add(NodeKind::kList, std::move(items), begin);
  }

  NodeId Map(uint32_t begin) {
    std::vector<NodeId> entries;
    while (!failed_ && !Current().IsOperator("}")) {
      const Token key = Current();
      if (!cel() && (key.kind == TokenKind::kWord || key.kind == TokenKind::kInt)) {
        Advance();
        entries.push_back(AddString(std::string(source_.substr(key.offset, key.length)), key.offset));
      } else {
        entries.push_back(Expression());
      }
      Expect(":", "between key and value");
      entries.push_back(Expression());
      if (!Accept(",")) break;
    }
    Expect("}", "to close the map");
    return Add(NodeKind::kMap, std::move(entries), begin);
  }

  // --- calls --------------------------------------------------------------------------------------

  NodeId Method(NodeId target, const Token& name, uint32_t begin) {
    Advance();  // the parenthesis
    const FunctionSpec* const spec = FindFunction(dialect_, name.text, /*method=*/true);
    if (spec != nullptr && spec->predicate) return Macro(*spec, target, name, begin);
    std::vector<NodeId> arguments = {target};
    Arguments(arguments);
    return failed_ ? 0 : Finish(name, spec, /*method=*/true, std::move(arguments), begin);
  }

  void Arguments(std::vector<NodeId>& arguments) {
    while (!failed_ && !Current().IsOperator(")")) {
      arguments.push_back(Expression());
      if (!Accept(",")) break;
    }
    Expect(")", "to close the arguments");
  }

  // CEL's target.all(name, predicate).
  NodeId Macro(const FunctionSpec& spec, NodeId target, const Token& name, uint32_t begin) {
    const Token variable = Current();
    if (variable.kind != TokenKind::kWord || !Ahead(1).IsOperator(",")) {
      Unexpected("expected a name for the item and a comma, as in ." + name.text + "(x, x > 0)");
      return target;
    }
    if (in_macro_) {
      findings_.push_back({"E062", name.offset, name.length,
                           "a ." + name.text + "() within another would cost their product; write two checks", ""});
    }
    Advance();
    Advance();
    const uint32_t slot = Push(variable.text);
    const bool outer = std::exchange(in_macro_, true);
    const NodeId predicate = Expression();
    in_macro_ = outer;
    Pop(1);
    Expect(")", "to close the arguments");
    return AddCall(name, spec.function, {target, predicate}, slot, begin);
  }

  NodeId Call(const Token& name, uint32_t begin, std::vector<NodeId> arguments) {
    Expect("(", "behind the function");
    if (failed_) return 0;
    if (cel() && name.text == "has") return Has(name);
    const FunctionSpec* const spec = FindFunction(dialect_, name.text, /*method=*/false);
    // In a function that nobody knows, # may stand as it would in one with a predicate.
    const bool unknown = spec == nullptr && !cel();
    if (!unknown && (spec == nullptr || !spec->predicate)) {
      if (!arguments.empty() && Current().IsOperator(")")) {
        Advance();
      } else {
        Arguments(arguments);
      }
      return failed_ ? 0 : Finish(name, spec, /*method=*/false, std::move(arguments), begin);
    }
    uint32_t slot = 0;
    while (!failed_ && !Current().IsOperator(")")) {
      arguments.push_back(arguments.size() == 1 ? Predicate(spec, slot) : Expression());
      if (!Accept(",")) break;
    }
    Expect(")", "to close the arguments");
    if (failed_) return 0;
    if (unknown) return Finish(name, nullptr, /*method=*/false, std::move(arguments), begin);
    return AddCall(name, spec->function, std::move(arguments), slot, begin);
  }

  // { # > 0 }, or the same without braces.
  NodeId Predicate(const FunctionSpec* spec, uint32_t& slot) {
    slot = Push("#");
    Push("#index");
    Push(spec != nullptr && spec->function == Function::kReduce ? "#acc" : "");
    const bool braces = Accept("{");
    const NodeId predicate = Expression();
    if (braces) Expect("}", "to close the predicate");
    Pop(3);
    return predicate;
  }

  NodeId AddCall(const Token& name, Function function, std::vector<NodeId> arguments, uint32_t slot, uint32_t begin) {
    Node node;
    node.kind = NodeKind::kCall;
    node.function = function;
    node.text = name.text;
    node.op_offset = name.offset;
    node.op_length = name.length;
    node.index = slot;
    node.children = std::move(arguments);
    return Add(std::move(node), begin);
  }

  NodeId Has(const Token& name) {
    const NodeId field = Expression();
    Expect(")", "to close has()");
    if (failed_) return 0;
    const NodeKind kind = tree_[field].kind;
    if (kind != NodeKind::kMember && kind != NodeKind::kIndex && kind != NodeKind::kVariable) {
      Fail(tree_[field].offset, tree_[field].length, "has() asks for a field, as in has(a.b)");
    }
    return Add(NodeKind::kHas, {field}, name.offset);
  }

  NodeId Finish(const Token& name, const FunctionSpec* spec, bool method, std::vector<NodeId> arguments,
                uint32_t begin) {
    const Function function = spec != nullptr ? spec->function : spelling_.Call(name, method, arguments, begin, end_);
    return AddCall(name, function, std::move(arguments), 0, begin);
  }

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

}  // namespace

Tree Parse(std::string_view source, Dialect dialect, const Limits& limits, std::vector<Finding>& findings) {
  return Parser(source, dialect, limits, findings).Run();
}

}  // namespace bulkhead::expr

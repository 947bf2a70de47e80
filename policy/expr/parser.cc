#include "policy/expr/parser.h"

#include "policy/expr/parser_state.h"

namespace bulkhead::expr {

NodeId Parser::Expression() {
  const Nested nested(*this);
  if (failed_) return 0;
  if (!cel() && Current().IsWord("let")) return Let();
  if (!cel() && Current().IsWord("if")) return If();
  return Conditional(Binary(kLowestPrecedence));
}

NodeId Parser::Let() {
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

NodeId Parser::If() {
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

NodeId Parser::Conditional(NodeId condition) {
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

NodeId Parser::Binary(int least) {
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

bool Parser::Inverts(const Token& token) {
  return token.IsWord("in") || token.IsWord("contains") || token.IsWord("startsWith") || token.IsWord("endsWith") ||
         token.IsWord("matches");
}

NodeId Parser::Combine(const BinaryOperator& op, bool negated, NodeId left, NodeId right, const Token& token) {
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

bool Parser::IsChained(NodeId id) const {
  const Node& node = tree_[id];
  if (node.kind != NodeKind::kBinary || node.grouped) return false;
  return IsComparison(node.op) || (node.op == Op::kAnd && IsChained(node.children.back()));
}

// A row of one operator is one node, so that its length does not count as depth.
NodeId Parser::Flat(Op op, NodeId left, NodeId right, const Token& token) {
  Node& before = tree_[left];
  if (before.kind != NodeKind::kBinary || before.op != op || before.grouped) return AddBinary(op, left, right, token);
  before.children.push_back(right);
  before.length = end_ - before.offset;
  before.height = std::max(before.height, tree_[right].height + 1);
  if (before.height > limits_.depth) TooDeep(before.offset);
  return left;
}

// `value | name(arguments)`: the value becomes the first argument.
NodeId Parser::Pipe(NodeId value) {
  const Token name = Current();
  if (name.kind != TokenKind::kWord) {
    Unexpected("expected a function behind |");
    return value;
  }
  Advance();
  return Postfix(Call(name, tree_[value].offset, {value}));
}

NodeId Parser::Unary() {
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

NodeId Parser::Postfix(NodeId target) {
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

NodeId Parser::Member(NodeId target, uint32_t begin, bool optional) {
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

NodeId Parser::Index(NodeId target, uint32_t begin, bool optional) {
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

NodeId Parser::Primary() {
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

NodeId Parser::Word(const Token& token) {
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
NodeId Parser::Pointer(const Token& token) {
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

NodeId Parser::List(uint32_t begin) {
  std::vector<NodeId> items;
  while (!failed_ && !Current().IsOperator("]")) {
    items.push_back(Expression());
    if (!Accept(",")) break;
  }
  Expect("]", "to close the list");
  return Add(NodeKind::kList, std::move(items), begin);
}

NodeId Parser::Map(uint32_t begin) {
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

Tree Parse(std::string_view source, Dialect dialect, const Limits& limits, std::vector<Finding>& findings) {
  return Parser(source, dialect, limits, findings).Run();
}

}  // namespace bulkhead::expr

#include "policy/expr/spelling.h"

#include <array>
#include <utility>

#include "runner/base/text.h"

namespace bulkhead::expr {

void Spelling::Add(std::string_view id, uint32_t offset, uint32_t length, std::string message, std::string fixit) {
  findings_.push_back({std::string(id), offset, length, std::move(message), std::move(fixit)});
}

std::string Spelling::Text(NodeId id) const {
  return std::string(source_.substr(tree_[id].offset, tree_[id].length));
}

std::string Spelling::Operand(NodeId id) const {
  const Node& node = tree_[id];
  const bool loose =
      node.kind == NodeKind::kBinary || node.kind == NodeKind::kUnary || node.kind == NodeKind::kConditional;
  return loose && !node.grouped ? "(" + Text(id) + ")" : Text(id);
}

std::string Spelling::Rest(const std::vector<NodeId>& arguments, size_t first) const {
  std::string out;
  for (size_t i = first; i < arguments.size(); ++i) out += (i == first ? "" : ", ") + Text(arguments[i]);
  return out;
}

void Spelling::Binary(const BinaryOperator& op, bool negated, NodeId left, NodeId right, const Token& token) {
  const uint32_t begin = tree_[left].offset;
  const uint32_t length = tree_[right].offset + tree_[right].length - begin;
  const std::string written = std::string(source_.substr(token.offset, token.length));
  if (dialect_ == Dialect::kExpr) {
    Add("E065", token.offset, token.length, "expr-lang has no operator \"" + written + "\"", std::string(op.instead));
    return;
  }
  // The argument of a method needs no parentheses, as it stands in the method's own.
  const auto method = [&](std::string_view name) {
    std::string inner = Text(right);
    if (tree_[right].grouped) inner = inner.substr(1, inner.size() - 2);
    return std::string(negated ? "!" : "") + Operand(left) + "." + std::string(name) + "(" + inner + ")";
  };
  std::string fixit;
  switch (op.op) {
    case Op::kContains:
    case Op::kStartsWith:
    case Op::kEndsWith: fixit = method(op.text); break;
    case Op::kMatches: fixit = method("fullMatches"); break;
    case Op::kIn: fixit = "!(" + Text(left) + " in " + Text(right) + ")"; break;
    case Op::kCoalesce: fixit = "(has(" + Text(left) + ") ? " + Text(left) + " : " + Text(right) + ")"; break;
    case Op::kPower:
    case Op::kRange:
      Add("E065", token.offset, token.length, "there is no operator \"" + written + "\" here; write the value out", "");
      return;
    default:
      Add("E065", token.offset, token.length, "\"" + written + "\" is no operator here", std::string(op.instead));
      return;
  }
  std::string message = "\"" + written + "\" is no operator here";
  if (op.op == Op::kMatches) message += "; fullMatches() is a match of the whole text, so add .* where more may follow";
  Add("E065", begin, length, std::move(message), std::move(fixit));
}

void Spelling::Not(const Token& token) {
  Add("E065", token.offset, token.length, "\"not\" is no operator here", "!");
}

void Spelling::OptionalChaining(const Token& token) {
  Add("E065", token.offset, token.length, "there is no ?. here; guard an optional field by has()", ".");
}

void Spelling::Replace(const Token& token, std::string_view with) {
  Add("E065", token.offset, token.length, "\"" + token.text + "\" is spelled \"" + std::string(with) + "\" here",
      std::string(with));
}

namespace {

struct Foreign {
  std::string_view name;
  Function function;
  std::string_view ours;
};

// One function for another of the same arguments.
constexpr std::array<Foreign, 8> kForCel = {{
    {"len", Function::kSize, "size"},
    {"asInt", Function::kInt, "int"},
    {"asFloat", Function::kDouble, "double"},
    {"float", Function::kDouble, "double"},
    {"asStr", Function::kString, "string"},
    {"str", Function::kString, "string"},
    {"hasPrefix", Function::kStartsWith, "startsWith"},
    {"hasSuffix", Function::kEndsWith, "endsWith"},
}};
constexpr std::array<Foreign, 7> kForExpr = {{
    {"size", Function::kSize, "len"},
    {"asInt", Function::kInt, "int"},
    {"asFloat", Function::kDouble, "float"},
    {"double", Function::kDouble, "float"},
    {"asStr", Function::kString, "string"},
    {"toJson", Function::kToJson, "toJSON"},
    {"fromJson", Function::kFromJson, "fromJSON"},
}};

// Operators of expr-lang that are methods elsewhere.
constexpr std::array<Foreign, 5> kInfix = {{
    {"contains", Function::kContains, "contains"},
    {"startsWith", Function::kStartsWith, "startsWith"},
    {"endsWith", Function::kEndsWith, "endsWith"},
    {"matches", Function::kNone, "matches"},
    {"fullMatches", Function::kNone, "matches"},
}};

}  // namespace

Function Spelling::Call(const Token& name, bool method, const std::vector<NodeId>& arguments, uint32_t begin,
                        uint32_t end) {
  const uint32_t length = end - begin;
  if (dialect_ == Dialect::kExpr) {
    for (const Foreign& infix : kInfix) {
      if (name.text != infix.name || arguments.size() != 2) continue;
      Add("E065", begin, length, name.text + "() is an operator in expr-lang",
          Operand(arguments[0]) + " " + std::string(infix.ours) + " " + Operand(arguments[1]));
      return infix.function;
    }
    if (name.text == "has" && arguments.size() == 1) {
      Add("E065", begin, length, "has() is a comparison in expr-lang", "(" + Text(arguments[0]) + " != nil)");
      return Function::kNone;
    }
  } else if (name.text == "matches" && arguments.size() == 2) {
    Add("E065", begin, length, "matches() would accept a match anywhere in the text; fullMatches() is one of all of it",
        Operand(arguments[0]) + ".fullMatches(" + Text(arguments[1]) + ")");
    return Function::kFullMatches;
  }
  if (method && tree_[arguments[0]].kind == NodeKind::kVariable && tree_[arguments[0]].text == "sprig") {
    Add("E060", begin, length, std::string(WhyAbsent("sprig")), "");
    return Function::kNone;
  }
  std::string_view ours = name.text;
  if (dialect_ == Dialect::kCel) {
    for (const Foreign& foreign : kForCel) ours = foreign.name == name.text ? foreign.ours : ours;
  } else {
    for (const Foreign& foreign : kForExpr) ours = foreign.name == name.text ? foreign.ours : ours;
  }
  for (const bool as_method : {method, !method}) {
    const FunctionSpec* const spec = FindFunction(dialect_, ours, as_method);
    if (spec == nullptr || spec->predicate || arguments.empty()) continue;
    std::string call = std::string(ours) + "(";
    call = as_method ? Operand(arguments[0]) + "." + call + Rest(arguments, 1) : call + Rest(arguments, 0);
    Add("E065", begin, length, name.text + "() is written " + call + ") here", call + ")");
    return spec->function;
  }
  Unknown(name, method);
  return Function::kNone;
}

void Spelling::Unknown(const Token& name, bool method) {
  std::string message = "there is no function " + name.text + "() here";
  if (const std::string_view why = WhyAbsent(name.text); !why.empty()) {
    Add("E060", name.offset, name.length, message + ": " + std::string(why), "");
    return;
  }
  std::vector<std::string_view> names;
  for (const FunctionSpec& spec : FunctionsOf(dialect_)) {
    if (spec.method == method || dialect_ == Dialect::kCel) names.push_back(spec.name);
  }
  const auto nearest = Nearest(name.text, names);
  message += DidYouMean(name.text, names);
  const bool same_form = nearest.has_value() && FindFunction(dialect_, *nearest, method) != nullptr;
  Add("E060", name.offset, name.length, std::move(message), same_form ? std::string(*nearest) : "");
}

}  // namespace bulkhead::expr

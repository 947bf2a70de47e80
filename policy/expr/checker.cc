#include "policy/expr/checker.h"

#include <algorithm>
#include <utility>

#include "runner/base/text.h"

namespace bulkhead::expr {

bool IsNumber(const Type& type) {
  return type.Is(Kind::kInt) || type.Is(Kind::kDouble);
}

std::string Named(const Type& type) {
  const std::string name = type.ToString();
  return (std::string_view("aeiou").find(name.front()) == std::string_view::npos ? "a " : "an ") + name;
}

bool Comparable(const Type& a, const Type& b) {
  if (a.Is(Kind::kAny) || b.Is(Kind::kAny)) return true;
  const bool a_map = a.Is(Kind::kMap) || a.Is(Kind::kObject);
  const bool b_map = b.Is(Kind::kMap) || b.Is(Kind::kObject);
  if (a_map && b_map) return !(a.Is(Kind::kMap) && b.Is(Kind::kMap)) || Comparable(a.element(), b.element());
  if (a.kind() != b.kind()) return false;
  return !a.Is(Kind::kList) || Comparable(a.element(), b.element());
}

std::string Checker::Text(NodeId id) const {
  return std::string(source_.substr(tree_[id].offset, tree_[id].length));
}

void Checker::Report(std::string_view id, NodeId place, std::string message, std::string fixit) {
  findings_.push_back(
      {std::string(id), tree_[place].offset, tree_[place].length, std::move(message), std::move(fixit)});
}

void Checker::Run(const Type& expected) {
  const Type type = Check(tree_.root);
  if (!Comparable(type, expected)) {
    Report("E060", tree_.root, "the expression must give " + Named(expected) + ", but it gives " + Named(type));
  }
}

Type Checker::Check(NodeId id) {
  Node& node = tree_[id];
  if (node.checked) return node.type;
  Type type;
  switch (node.kind) {
    case NodeKind::kLiteral: type = node.type; break;
    case NodeKind::kVariable: type = CheckVariable(id); break;
    case NodeKind::kLocal:
      node.free_locals = uint64_t{1} << node.index;
      type = locals_[node.index];
      break;
    case NodeKind::kMember: type = CheckMember(id); break;
    case NodeKind::kIndex: type = CheckIndex(id); break;
    case NodeKind::kSlice: type = CheckSlice(id); break;
    case NodeKind::kChain: Check(node.children[0]); break;  // any, as it may be null
    case NodeKind::kHas: type = CheckHas(id); break;
    case NodeKind::kUnary: type = CheckUnary(id); break;
    case NodeKind::kBinary: type = CheckBinary(id); break;
    case NodeKind::kConditional: type = CheckConditional(id); break;
    case NodeKind::kList: type = CheckList(id); break;
    case NodeKind::kMap: type = CheckMap(id); break;
    case NodeKind::kCall: type = CheckCall(id); break;
    case NodeKind::kLet: type = CheckLet(id); break;
  }
  node.type = type;
  node.checked = true;
  for (const NodeId child : node.children) {
    node.reads = node.reads || tree_[child].reads;
    node.free_locals |= tree_[child].free_locals;
  }
  if (node.kind == NodeKind::kLet) node.free_locals &= ~(uint64_t{1} << node.index);
  if (node.kind == NodeKind::kCall && node.children.size() > 1) {
    const FunctionSpec* const spec = FindFunction(dialect_, node.text, cel());
    if (spec != nullptr && spec->predicate) {
      for (uint32_t slot = node.index; slot < node.index + (cel() ? 1U : 3U); ++slot) {
        node.free_locals &= ~(uint64_t{1} << slot);
      }
    }
  }
  return type;
}

Type Checker::CheckVariable(NodeId id) {
  Node& node = tree_[id];
  const auto index = environment_.Index(node.text);
  if (!index.has_value()) {
    std::vector<std::string_view> names;
    for (const Field& variable : environment_.variables()) names.push_back(variable.name);
    std::string known;
    for (const std::string_view name : names) known += (known.empty() ? "" : ", ") + std::string(name);
    std::string hint = DidYouMean(node.text, names);
    if (hint.empty()) hint = known.empty() ? "; there are none" : "; there are " + known;
    Report("E061", id, "there is no variable \"" + node.text + "\"" + hint,
           std::string(Nearest(node.text, names).value_or("")));
    return Type::Any();
  }
  node.index = static_cast<uint32_t>(*index);
  node.reads = true;
  const Field& variable = environment_.variables()[*index];
  if (variable.optional) RequirePresent(id, variable.name);
  return variable.type;
}

Type Checker::CheckMember(NodeId id) {
  Node& node = tree_[id];
  const Type target = Check(node.children[0]);
  if (target.Is(Kind::kNull) && !cel()) return Type::Any();  // ?. makes something of it
  switch (target.kind()) {
    case Kind::kAny: return Type::Any();
    case Kind::kObject: {
      const Field* const field = target.Find(node.text);
      if (field != nullptr) {
        if (field->optional) RequirePresent(id, node.text);
        return field->type;
      }
      std::vector<std::string_view> names;
      for (const Field& known : target.fields()) names.push_back(known.name);
      findings_.push_back({"E060", node.op_offset, node.op_length,
                           target.ToString() + " has no field \"" + node.text + "\"" + DidYouMean(node.text, names),
                           std::string(Nearest(node.text, names).value_or(""))});
      return Type::Any();
    }
    case Kind::kMap:
      if (!Comparable(target.key(), Type::String())) break;
      RequirePresent(id, node.text);
      return target.element();
    default: break;
  }
  findings_.push_back(
      {"E060", node.op_offset, node.op_length, Named(target) + " has no field \"" + node.text + "\"", ""});
  return Type::Any();
}

Type Checker::CheckIndex(NodeId id) {
  const NodeId target_id = tree_[id].children[0];
  const NodeId key_id = tree_[id].children[1];
  if (tree_[key_id].kind == NodeKind::kLiteral && tree_[key_id].type.Is(Kind::kString)) {
    const Type target = Check(target_id);
    if (target.Is(Kind::kObject) || target.Is(Kind::kMap)) {
      Node& node = tree_[id];
      node.kind = NodeKind::kMember;
      node.text = tree_[key_id].text;
      node.children.pop_back();
      return CheckMember(id);
    }
  }
  const Type target = Check(target_id);
  const Type key = Check(key_id);
  switch (target.kind()) {
    case Kind::kAny:
      if (!key.Is(Kind::kList) && !key.Is(Kind::kNull)) return Type::Any();
      break;
    case Kind::kList:
      if (Comparable(key, Type::Int())) return target.element();
      Report("E060", key_id, "the index of a list must be an int, not " + Named(key));
      return target.element();
    case Kind::kMap:
      if (Comparable(key, target.key())) {
        RequirePresent(id, Text(key_id));
        return target.element();
      }
      Report("E060", key_id, "the keys of this map are of type " + target.key().ToString() + ", not " + key.ToString());
      return target.element();
    case Kind::kObject:
      Report("E060", key_id, "a field of " + target.ToString() + " must be named by a literal, as in x.name");
      return Type::Any();
    default: break;
  }
  Report("E060", id, Named(target) + " cannot be indexed by " + Named(key));
  return Type::Any();
}

Type Checker::CheckSlice(NodeId id) {
  const Node& node = tree_[id];
  Type target = Check(node.children[0]);
  for (const size_t bound : {1U, 2U}) {
    const Type type = Check(node.children[bound]);
    if (!type.Is(Kind::kNull) && !Comparable(type, Type::Int())) {
      Report("E060", node.children[bound], "a bound of a slice must be an int, not " + Named(type));
    }
  }
  if (target.Is(Kind::kAny) || target.Is(Kind::kString) || target.Is(Kind::kList)) return target;
  Report("E060", id, Named(target) + " has no slices; a string or a list has");
  return Type::Any();
}

Type Checker::CheckHas(NodeId id) {
  const NodeId field = tree_[id].children[0];
  const bool outer = std::exchange(in_has_, true);
  Check(field);
  in_has_ = outer;
  // Somewhere along the way there must be something that can be absent.
  for (NodeId at = field;; at = tree_[at].children[0]) {
    const Node& step = tree_[at];
    if (step.kind == NodeKind::kVariable) {
      const auto index = environment_.Index(step.text);
      if (!index.has_value() || environment_.variables()[*index].optional) return Type::Bool();
      break;
    }
    if (step.kind != NodeKind::kMember && step.kind != NodeKind::kIndex) return Type::Bool();
    const Type& target = tree_[step.children[0]].type;
    const Field* const found = target.Find(step.text);
    if (step.kind == NodeKind::kIndex || !target.Is(Kind::kObject) || found == nullptr || found->optional) {
      return Type::Bool();
    }
  }
  Report("W063", id, Text(field) + " is always there, so this has() is always true");
  return Type::Bool();
}

Type Checker::CheckConditional(NodeId id) {
  const std::vector<NodeId> children = tree_[id].children;
  const std::set<std::string> outer = facts_;
  if (!cel() && children[0] == children[1]) {
    Check(children[0]);  // a ?: b
  } else {
    ExpectBool(children[0], "the condition of ?:");
  }
  Facts(children[0], true, facts_);
  Type yes = Check(children[1]);
  facts_ = outer;
  Facts(children[0], false, facts_);
  const Type no = Check(children[2]);
  facts_ = outer;
  if (yes == no) return yes;
  if (cel() && !Comparable(yes, no)) {
    Report("E060", children[2],
           "both values of a conditional must be of one type; these are " + yes.ToString() + " and " + no.ToString());
  }
  return Type::Any();
}

Type Checker::CheckList(NodeId id) {
  const std::vector<NodeId> children = tree_[id].children;
  std::optional<Type> element;
  for (const NodeId child : children) {
    const Type type = Check(child);
    if (!element.has_value()) {
      element = type;
    } else if (!(*element == type)) {
      element = Type::Any();
    }
  }
  return Type::List(element.value_or(Type::Any()), std::max<size_t>(children.size(), 1));
}

Type Checker::CheckMap(NodeId id) {
  const std::vector<NodeId> children = tree_[id].children;
  std::optional<Type> key, value;
  std::set<std::string> seen;
  for (size_t i = 0; i < children.size(); ++i) {
    const Type type = Check(children[i]);
    std::optional<Type>& joined = i % 2 == 0 ? key : value;
    joined = !joined.has_value() || *joined == type ? type : Type::Any();
    if (i % 2 != 0) continue;
    const bool fits =
        type.Is(Kind::kAny) || type.Is(Kind::kString) || (cel() && (type.Is(Kind::kInt) || type.Is(Kind::kBool)));
    if (!fits) Report("E060", children[i], Named(type) + " cannot be the key of a map");
    const Node& literal = tree_[children[i]];
    if (literal.kind != NodeKind::kLiteral || !cel()) continue;
    const std::string form =
        type.Is(Kind::kString) ? "\"" + literal.text : std::to_string(literal.integer + literal.boolean);
    if (!seen.insert(type.ToString() + form).second) Report("E060", children[i], "this key occurs twice in the map");
  }
  return Type::Map(key.value_or(Type::Any()), value.value_or(Type::Any()), std::max<size_t>(children.size() / 2, 1));
}

Type Checker::CheckLet(NodeId id) {
  const Node& node = tree_[id];
  locals_[node.index] = Check(node.children[0]);
  return Check(node.children[1]);
}

// --- presence ---------------------------------------------------------------------------------------

void Checker::RequirePresent(NodeId id, std::string_view name) {
  if (!cel() || in_has_) return;
  const auto path = Path(id);
  if (path.has_value() && !facts_.insert(*path).second) return;  // known, or said once
  Report("W064", id,
         "\"" + EscapeForTerminal(name) + "\" may be absent, and the check fails then; write has(" + Text(id) +
             ") && ... before it");
}

std::string Checker::KeyOf(uint32_t slot) {
  return "\x1f[\x1f" + std::to_string(slot);
}

std::optional<std::string> Checker::Path(NodeId id) const {
  const Node& node = tree_[id];
  // No name holds a control character.
  constexpr char kStep = '\x1f';
  switch (node.kind) {
    case NodeKind::kVariable: return node.text;
    case NodeKind::kLocal: return kStep + std::to_string(node.index) + kStep + node.text;
    case NodeKind::kMember: {
      auto path = Path(node.children[0]);
      if (path.has_value()) *path += kStep + node.text;
      return path;
    }
    case NodeKind::kIndex: {
      auto path = Path(node.children[0]);
      const Node& key = tree_[node.children[1]];
      if (path.has_value() && key.kind == NodeKind::kLocal) return *path + KeyOf(key.index);
      if (!path.has_value() || key.free_locals != 0) return std::nullopt;
      return *path + kStep +
             (key.type.Is(Kind::kString) && key.kind == NodeKind::kLiteral ? key.text : "[" + Text(node.children[1]));
    }
    default: return std::nullopt;
  }
}

void Checker::Facts(NodeId id, bool truth, std::set<std::string>& out) const {
  const Node& node = tree_[id];
  if (node.kind == NodeKind::kUnary && node.op == Op::kNot) return Facts(node.children[0], !truth, out);
  if (node.kind == NodeKind::kBinary && node.op == (truth ? Op::kAnd : Op::kOr)) {
    for (const NodeId child : node.children) Facts(child, truth, out);
    return;
  }
  if (node.kind == NodeKind::kHas && truth) {
    for (NodeId at = node.children[0]; const auto path = Path(at); at = tree_[at].children[0]) {
      out.insert(*path);
      if (tree_[at].children.empty()) return;
    }
  }
  if (node.kind == NodeKind::kBinary && node.op == Op::kIn && truth && tree_[node.children[1]].type.Is(Kind::kMap)) {
    const auto map = Path(node.children[1]);
    const Node& key = tree_[node.children[0]];
    if (!map.has_value() || key.free_locals != 0) return;
    const bool literal = key.kind == NodeKind::kLiteral && key.type.Is(Kind::kString);
    out.insert(*map + '\x1f' + (literal ? key.text : "[" + Text(node.children[0])));
  }
}

}  // namespace bulkhead::expr

#include <array>

#include "policy/expr/checker.h"
#include "runner/base/text.h"

namespace bulkhead::expr {

namespace {

constexpr int64_t kMostPatternMemory = 1 << 20;

}  // namespace

bool Checker::Argument(NodeId id, size_t index, std::initializer_list<Kind> kinds) {
  const Node& node = tree_[id];
  if (index >= node.children.size()) return true;
  const Type& type = tree_[node.children[index]].type;
  if (type.Is(Kind::kAny)) return true;
  std::string wanted;
  size_t left = kinds.size();
  for (const Kind kind : kinds) {
    if (type.Is(kind)) return true;
    constexpr std::array<std::string_view, 11> kNames = {"any",   "null",     "bool", "int", "double", "string",
                                                         "bytes", "duration", "list", "map", "mapping"};
    --left;
    wanted += std::string(kNames[static_cast<size_t>(kind)]) + (left == 0 ? "" : left == 1 ? " or " : ", ");
  }
  Report("E060", node.children[index], node.text + "() takes a " + wanted + " here, not " + Named(type));
  return false;
}

void Checker::Compile(NodeId owner, NodeId pattern, std::string_view name) {
  const Node& literal = tree_[pattern];
  if (literal.kind != NodeKind::kLiteral || !literal.type.Is(Kind::kString)) {
    Report("E060", pattern, "the pattern of " + std::string(name) + " must be a literal, so that it is checked now");
    return;
  }
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kMostPatternMemory);
  auto compiled = std::make_unique<RE2>(literal.text, options);
  if (!compiled->ok()) {
    Report("E060", pattern,
           "no RE2 expression (https://github.com/google/re2/wiki/Syntax): " + EscapeForTerminal(compiled->error()));
    return;
  }
  tree_[owner].pattern = std::move(compiled);
}

Type Checker::CheckCall(NodeId id) {
  const Function function = tree_[id].function;
  const FunctionSpec* spec = nullptr;
  for (const FunctionSpec& candidate : FunctionsOf(dialect_)) {
    if (candidate.function == function && (spec == nullptr || candidate.name == tree_[id].text)) spec = &candidate;
  }
  const std::vector<NodeId> children = tree_[id].children;
  if (spec == nullptr) {  // reported by the parser
    for (const NodeId child : children) Check(child);
    return Type::Any();
  }
  const size_t count = children.size();
  if (count < spec->least || count > spec->most) {
    for (const NodeId child : children) Check(child);
    const size_t self = spec->method ? 1 : 0;
    const auto arguments = [](size_t number) {
      return std::to_string(number) + (number == 1 ? " argument" : " arguments");
    };
    std::string range = arguments(spec->least - self);
    if (spec->most != spec->least) range = std::to_string(spec->least - self) + " to " + arguments(spec->most - self);
    Report("E060", id, tree_[id].text + "() takes " + range + ", not " + std::to_string(count - std::min(count, self)));
    return Type::Any();
  }
  if (spec->predicate) return CheckPredicate(id);
  for (const NodeId child : children) Check(child);
  switch (function) {
    case Function::kInt:
    case Function::kDouble:
    case Function::kString:
    case Function::kDuration:
    case Function::kType:
    case Function::kToJson:
    case Function::kFromJson:
    case Function::kToBase64:
    case Function::kFromBase64: return CheckConversion(id);
    case Function::kAbs:
    case Function::kCeil:
    case Function::kFloor:
    case Function::kRound:
    case Function::kMin:
    case Function::kMax: return CheckNumbers(id);
    case Function::kHeaderGet:
    case Function::kHeaderValues: return CheckHeaders(id);
    case Function::kSize:
    case Function::kFirst:
    case Function::kLast:
    case Function::kTake:
    case Function::kGet:
    case Function::kKeys:
    case Function::kValues:
    case Function::kSort:
    case Function::kReverse:
    case Function::kUniq:
    case Function::kConcat: return CheckCollection(id);
    default: return CheckText(id);
  }
}

Type Checker::Element(const Type& collection) const {
  if (collection.Is(Kind::kList)) return collection.element();
  // CEL's macros visit the keys of a map.
  if (collection.Is(Kind::kMap)) return collection.key();
  return Type::Any();
}

Type Checker::CheckPredicate(NodeId id) {
  const std::vector<NodeId> children = tree_[id].children;
  const Function function = tree_[id].function;
  Type collection = Check(children[0]);
  if (cel()) {
    Argument(id, 0, {Kind::kList, Kind::kMap});
  } else {
    Argument(id, 0, {Kind::kList});
  }
  const Type element = Element(collection);
  const uint32_t slot = tree_[id].index;
  locals_[slot] = element;
  if (!cel() && children.size() > 1) {
    locals_[slot + 1] = Type::Int();
    locals_[slot + 2] = Type::Any();
  }
  const bool gives_value = function == Function::kMap || function == Function::kSum || function == Function::kReduce;
  Type value = element;
  const std::set<std::string> outer = facts_;
  // The keys of a map that a macro visits are there.
  if (const auto path = Path(children[0]); collection.Is(Kind::kMap) && path.has_value()) {
    facts_.insert(*path + KeyOf(slot));
  }
  if (children.size() > 1) {
    if (gives_value) {
      value = Check(children[1]);
    } else {
      ExpectBool(children[1], "what " + tree_[id].text + "() asks of each item");
    }
  }
  facts_ = outer;
  for (size_t i = 2; i < children.size(); ++i) Check(children[i]);
  switch (function) {
    case Function::kFilter: return collection;
    case Function::kMap: return Type::List(value);
    case Function::kCount:
      if (children.size() == 1 && !Comparable(element, Type::Bool())) {
        Report("E060", children[0], "count() of one argument takes a list(bool), not " + Named(collection));
      }
      return Type::Int();
    case Function::kSum:
      if (!value.Is(Kind::kAny) && !IsNumber(value)) {
        Report("E060", children.back(), "sum() adds numbers, not values of type " + value.ToString());
      }
      return Type::Any();
    case Function::kFind:
    case Function::kFindLast:
    case Function::kFindIndex:
    case Function::kFindLastIndex:
    case Function::kReduce: return Type::Any();  // null when there is none
    default: return Type::Bool();
  }
}

Type Checker::CheckText(NodeId id) {
  const Function function = tree_[id].function;
  switch (function) {
    case Function::kJoin:
      if (Argument(id, 0, {Kind::kList}) && !Comparable(tree_[tree_[id].children[0]].type.element(), Type::String())) {
        Report("E060", tree_[id].children[0],
               "join() takes a list(string), not " + Named(tree_[tree_[id].children[0]].type));
      }
      Argument(id, 1, {Kind::kString});
      return Type::String();
    case Function::kRepeat:
      Argument(id, 0, {Kind::kString});
      Argument(id, 1, {Kind::kInt});
      return Type::String();
    default: break;
  }
  const bool split = function == Function::kSplit;
  const size_t texts = split ? 2 : function == Function::kReplace ? 3 : tree_[id].children.size();
  for (size_t i = 0; i < texts; ++i) Argument(id, i, {Kind::kString});
  Argument(id, texts, {Kind::kInt});
  switch (function) {
    case Function::kFullMatches: Compile(id, tree_[id].children[1], "fullMatches"); return Type::Bool();
    case Function::kContains:
    case Function::kStartsWith:
    case Function::kEndsWith: return Type::Bool();
    case Function::kIndexOf:
    case Function::kLastIndexOf: return Type::Int();
    case Function::kSplit: return Type::List(Type::String());
    default: return Type::String();
  }
}

Type Checker::CheckConversion(NodeId id) {
  switch (tree_[id].function) {
    case Function::kInt: Argument(id, 0, {Kind::kInt, Kind::kDouble, Kind::kString}); return Type::Int();
    case Function::kDouble: Argument(id, 0, {Kind::kInt, Kind::kDouble, Kind::kString}); return Type::Double();
    case Function::kString:
      if (cel()) {
        Argument(id, 0, {Kind::kString, Kind::kInt, Kind::kDouble, Kind::kBool, Kind::kBytes, Kind::kDuration});
      } else {
        Argument(id, 0, {Kind::kString, Kind::kInt, Kind::kDouble, Kind::kBool, Kind::kNull});
      }
      return Type::String();
    case Function::kDuration: Argument(id, 0, {Kind::kString, Kind::kDuration}); return Type::Duration();
    case Function::kToJson:
      Argument(
          id, 0,
          {Kind::kNull, Kind::kBool, Kind::kInt, Kind::kDouble, Kind::kString, Kind::kList, Kind::kMap, Kind::kObject});
      return Type::String();
    case Function::kFromJson: Argument(id, 0, {Kind::kString}); return Type::Any();
    case Function::kType: return Type::String();
    default: Argument(id, 0, {Kind::kString}); return Type::String();
  }
}

Type Checker::CheckNumbers(NodeId id) {
  const Node& node = tree_[id];
  const bool extreme = node.function == Function::kMin || node.function == Function::kMax;
  for (size_t i = 0; i < node.children.size(); ++i) {
    if (extreme) {
      Argument(id, i, {Kind::kInt, Kind::kDouble, Kind::kList});
    } else {
      Argument(id, i, {Kind::kInt, Kind::kDouble});
    }
  }
  if (extreme) return Type::Any();
  return node.function == Function::kAbs ? tree_[node.children[0]].type : Type::Double();
}

Type Checker::CheckCollection(NodeId id) {
  const Function function = tree_[id].function;
  const Type& first = tree_[tree_[id].children[0]].type;
  switch (function) {
    case Function::kSize:
      if (cel()) {
        Argument(id, 0, {Kind::kString, Kind::kBytes, Kind::kList, Kind::kMap});
      } else {
        Argument(id, 0, {Kind::kString, Kind::kBytes, Kind::kList, Kind::kMap, Kind::kObject});
      }
      return Type::Int();
    case Function::kGet: Argument(id, 0, {Kind::kList, Kind::kMap, Kind::kNull}); return Type::Any();
    case Function::kKeys:
    case Function::kValues:
      if (!Argument(id, 0, {Kind::kMap}) || first.Is(Kind::kAny)) return Type::List(Type::Any());
      return Type::List(function == Function::kKeys ? first.key() : first.element(), first.most());
    case Function::kConcat: {
      bool same = true;
      for (size_t i = 0; i < tree_[id].children.size(); ++i) {
        Argument(id, i, {Kind::kList});
        same = same && tree_[tree_[id].children[i]].type == first;
      }
      return same && first.Is(Kind::kList) ? Type::List(first.element()) : Type::List(Type::Any());
    }
    default: break;
  }
  Argument(id, 0, {Kind::kList});
  if (function == Function::kTake) Argument(id, 1, {Kind::kInt});
  if (function == Function::kSort) Argument(id, 1, {Kind::kString});
  if (function == Function::kFirst || function == Function::kLast) return Type::Any();
  return first;
}

Type Checker::CheckHeaders(NodeId id) {
  const Node& node = tree_[id];
  const Type& target = tree_[node.children[0]].type;
  Argument(id, 1, {Kind::kString});
  if (!target.Is(Kind::kMap) || !(target.element() == Type::List(Type::String()))) {
    Report("E060", id, node.text + "() asks the headers of request or response, not " + Named(target));
  }
  return node.function == Function::kHeaderGet ? Type::String() : Type::List(Type::String());
}

}  // namespace bulkhead::expr

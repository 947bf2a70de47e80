// Calls: dispatch, conversions, numbers, headers.
#include <algorithm>
#include <array>
#include <cmath>

#include "policy/expr/evaluator.h"
#include "policy/expr/numbers.h"
#include "policy/expr/success_condition.h"
#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::expr {

bool Evaluator::EvalCall(NodeId id, Operand& out) {
  const Node& node = tree_[id];
  const FunctionSpec* const spec = FindFunction(dialect_, node.text, cel());
  if (spec != nullptr && spec->predicate) return EvalPredicate(id, out);
  constexpr size_t kFew = 4;
  std::array<Operand, kFew> few;
  Operand* arguments = few.data();
  const size_t count = node.children.size();
  if (count > kFew && !Make(count, id, arguments)) return false;
  for (size_t i = 0; i < count; ++i) {
    if (!Eval(node.children[i], arguments[i])) return false;
    if (broken_) return true;  // a method behind ?.
  }
  const std::span<const Operand> given(arguments, count);
  switch (node.function) {
    case Function::kInt:
    case Function::kDouble:
    case Function::kString:
    case Function::kDuration:
    case Function::kType:
    case Function::kToJson:
    case Function::kFromJson:
    case Function::kToBase64:
    case Function::kFromBase64: return CallConversion(id, given, out);
    case Function::kAbs:
    case Function::kCeil:
    case Function::kFloor:
    case Function::kRound:
    case Function::kMin:
    case Function::kMax: return CallNumbers(id, given, out);
    case Function::kHeaderGet:
    case Function::kHeaderValues: return CallHeaders(id, given, out);
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
    case Function::kConcat: return CallCollection(id, given, out);
    default: return CallText(id, given, out);
  }
}

namespace {

std::string_view ExprTypeName(Kind kind) {
  switch (kind) {
    case Kind::kNull: return "nil";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kDouble: return "float";
    case Kind::kString: return "string";
    case Kind::kBytes:
    case Kind::kList: return "array";
    default: return "map";
  }
}

void SortKeys(Value& value) {
  std::sort(value.members.begin(), value.members.end(), [](const Member& a, const Member& b) { return a.key < b.key; });
  for (Value& item : value.items) SortKeys(item);
  for (Member& member : value.members) SortKeys(member.value);
  // encoding/json writes 1.0 as 1.
  if (value.is_number() && value.text.ends_with(".0")) value.text.resize(value.text.size() - 2);
}

}  // namespace

bool Evaluator::CallConversion(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const Operand& operand = arguments[0];
  const NodeId place = tree_[id].children[0];
  const bool text = operand.Is(Kind::kString);
  if (text && !Charge(TextUnits(operand.text.size()), id)) return false;
  const auto no_conversion = [&](std::string_view what) {
    return Fail(Fault::kConversion, id, Quote(place) + " is no " + std::string(what));
  };
  switch (tree_[id].function) {
    case Function::kInt: {
      if (!text && !operand.is_number()) return WrongType(place, "a number or a string", operand);
      const auto integer = text                        ? ParseInt(operand.text)
                           : operand.Is(Kind::kDouble) ? Truncate(operand.number)
                                                       : operand.integer;
      if (!integer.has_value()) return no_conversion("int of 64 bits");
      out = Operand::Int(*integer);
      return true;
    }
    case Function::kDouble: {
      if (!text && !operand.is_number()) return WrongType(place, "a number or a string", operand);
      const auto number = text ? ParseDouble(operand.text) : operand.as_double();
      if (!number.has_value()) return no_conversion("number");
      out = Operand::Double(*number);
      return true;
    }
    case Function::kDuration: {
      if (operand.Is(Kind::kDuration)) {
        out = operand;
        return true;
      }
      if (!text) return WrongType(place, "a string", operand);
      const auto duration = ParseGoDuration(operand.text);
      if (!duration.has_value()) return no_conversion("duration such as 30s or 1h30m");
      out = Operand::Int(duration->count());
      out.kind = Kind::kDuration;
      return true;
    }
    case Function::kString: return CallString(id, operand, out);
    case Function::kType: out = Operand::String(ExprTypeName(operand.kind)); return true;
    case Function::kFromJson: return CallFromJson(id, operand, out);
    case Function::kToJson: {
      if (operand.Is(Kind::kBytes)) return WrongType(place, "no bytes", operand);
      if (operand.Is(Kind::kDouble) && !std::isfinite(operand.number)) return no_conversion("number that JSON has");
      Value value;
      if (!ToValue(operand, id, value)) return false;
      SortKeys(value);
      const std::string json = ToPrettyJson(value);
      return Keep(json, id, out);
    }
    case Function::kToBase64:
      if (!text) return WrongType(place, "a string", operand);
      return Keep(Base64Encode(operand.text), id, out);
    default: {
      if (!text) return WrongType(place, "a string", operand);
      const auto decoded = Base64Decode(operand.text);
      if (!decoded.has_value()) return no_conversion("base64 text");
      if (!IsValidUtf8(*decoded)) return no_conversion("base64 of text");
      return Keep(*decoded, id, out);
    }
  }
}

bool Evaluator::CallString(NodeId id, const Operand& operand, Operand& out) {
  switch (operand.kind) {
    case Kind::kString: out = operand; return true;
    case Kind::kBool: out = Operand::String(operand.boolean ? "true" : "false"); return true;
    case Kind::kInt: return Keep(std::to_string(operand.integer), id, out);
    case Kind::kDouble: return Keep(cel() ? FormatGeneral(operand.number) : FormatPlain(operand.number), id, out);
    case Kind::kNull:
      if (cel()) break;
      out = Operand::String("<nil>");
      return true;
    case Kind::kBytes:
      if (!cel()) break;
      if (!Charge(TextUnits(operand.text.size()), id)) return false;
      if (!IsValidUtf8(operand.text)) {
        return Fail(Fault::kConversion, id, Quote(tree_[id].children[0]) + " is no valid UTF-8");
      }
      out = Operand::String(operand.text);
      return true;
    case Kind::kDuration: return Keep(FormatSeconds(operand.integer), id, out);
    default: break;
  }
  return WrongType(tree_[id].children[0], "a plain value", operand);
}

bool Evaluator::CallFromJson(NodeId id, const Operand& operand, Operand& out) {
  const NodeId place = tree_[id].children[0];
  if (!operand.Is(Kind::kString)) return WrongType(place, "a string", operand);
  if (!Charge(operand.text.size() / 4, id)) return false;
  JsonLimits limits;
  limits.bytes = arena_.left();
  limits.string_bytes = arena_.left();
  limits.values = arena_.left() / sizeof(Value);
  JsonParse parse = ParseJson(operand.text, limits);
  if (!parse.ok) {
    const bool bound = parse.error.fault == JsonFault::kTooLarge || parse.error.fault == JsonFault::kTooManyValues;
    return Fail(bound ? Fault::kCost : Fault::kConversion, id,
                Quote(place) + " is no JSON document that is accepted (" +
                    std::string(JsonFaultName(parse.error.fault)) + " at byte " + std::to_string(parse.error.offset) +
                    ")");
  }
  // A value has at least one byte of text, or two of brackets.
  size_t values = 1;
  for (const char c : operand.text) values += c == ',' || c == '[' || c == '{' ? 1 : 0;
  if (!arena_.Account(values * sizeof(Value) + operand.text.size())) {
    return Fail(Fault::kCost, id, "the evaluation needs too much memory");
  }
  parsed_.push_back(std::make_unique<Value>(std::move(parse.value)));
  static const Type kAny;
  return Load(RefTo(*parsed_.back()), kAny, id, out);
}

bool Evaluator::CallNumbers(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const Function function = tree_[id].function;
  if (function == Function::kMin || function == Function::kMax) return CallExtreme(id, arguments, out);
  const Operand& operand = arguments[0];
  if (!operand.is_number()) return WrongType(tree_[id].children[0], "a number", operand);
  if (function == Function::kAbs && operand.Is(Kind::kInt)) {
    if (operand.integer == INT64_MIN) return Fail(Fault::kArithmetic, id, Quote(id) + " overflows 64 bits");
    out = Operand::Int(operand.integer < 0 ? -operand.integer : operand.integer);
    return true;
  }
  const double number = operand.as_double();
  out = Operand::Double(function == Function::kAbs     ? std::fabs(number)
                        : function == Function::kCeil  ? std::ceil(number)
                        : function == Function::kFloor ? std::floor(number)
                                                       : std::round(number));
  return true;
}

bool Evaluator::CallExtreme(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const int wanted = tree_[id].function == Function::kMin ? -1 : 1;
  bool any = false;
  const auto consider = [&](const Operand& candidate, NodeId place) {
    if (!candidate.is_number()) return WrongType(place, "numbers", candidate);
    int order = 0;
    if (any && !Order(candidate, out, place, order)) return false;
    if (!any || order == wanted) out = candidate;
    any = true;
    return true;
  };
  for (size_t i = 0; i < arguments.size(); ++i) {
    const NodeId place = tree_[id].children[i];
    if (!arguments[i].Is(Kind::kList)) {
      if (!consider(arguments[i], place)) return false;
      continue;
    }
    const size_t count = Count(arguments[i]);
    if (!Charge(count, id)) return false;
    for (size_t k = 0; k < count; ++k) {
      Operand item;
      if (!Item(arguments[i], k, place, item) || !consider(item, place)) return false;
    }
  }
  if (!any) out = {};  // the least of nothing is nil
  return true;
}

bool Evaluator::CallHeaders(NodeId id, std::span<const Operand> arguments, Operand& out) {
  if (!arguments[0].is_map()) return WrongType(tree_[id].children[0], "headers", arguments[0]);
  if (!arguments[1].Is(Kind::kString)) return WrongType(tree_[id].children[1], "a string", arguments[1]);
  Operand name;
  if (!Keep(CanonicalHeaderName(arguments[1].text), id, name)) return false;
  bool found = false;
  Operand values;
  if (!Lookup(arguments[0], name, id, values, found)) return false;
  const bool get = tree_[id].function == Function::kHeaderGet;
  if (!found || !values.Is(Kind::kList) || Count(values) == 0) {
    out = get ? Operand::String("") : Operand::NilList();
    return true;
  }
  if (get) return Item(values, 0, id, out);
  out = values;
  return true;
}

}  // namespace bulkhead::expr

// Functions of text. Case is that of ASCII letters: other letters stay as they are.
#include <algorithm>
#include <cstring>

#include "policy/expr/evaluator.h"

namespace bulkhead::expr {

namespace {

constexpr size_t kNone = std::string_view::npos;

// In time linear in both, whatever they are.
size_t Find(std::string_view text, std::string_view part, size_t from = 0) {
  const void* const found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? kNone : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t RuneLength(std::string_view text) {
  size_t length = text.empty() ? 0 : 1;
  while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) ++length;
  return length;
}

// What Go's unicode.IsSpace knows.
bool IsSpace(std::string_view rune) {
  if (rune.size() == 1) return std::string_view(" \t\n\v\f\r").find(rune) != kNone;
  for (const std::string_view space : {"\xC2\x85", "\xC2\xA0", "\xE1\x9A\x80", "\xE2\x80\xA8", "\xE2\x80\xA9",
                                       "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"}) {
    if (rune == space) return true;
  }
  return rune.size() == 3 && rune.starts_with("\xE2\x80") && static_cast<unsigned char>(rune[2]) <= 0x8A;
}

// `cuts(rune)`: whether to take it off the ends.
template <typename Cuts>
std::string_view Trimmed(std::string_view text, const Cuts& cuts) {
  while (!text.empty()) {
    const size_t length = RuneLength(text);
    if (!cuts(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
    if (!cuts(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

}  // namespace

bool Evaluator::CallText(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const Node& node = tree_[id];
  if (node.function == Function::kJoin) return CallJoin(id, arguments, out);
  const bool counted = node.function == Function::kReplace || node.function == Function::kSplit;
  const size_t texts = node.function == Function::kRepeat  ? 1
                       : node.function == Function::kSplit ? 2
                       : counted                           ? 3
                                                           : arguments.size();
  uint64_t bytes = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Kind wanted = i < texts ? Kind::kString : Kind::kInt;
    if (!arguments[i].Is(wanted)) return WrongType(node.children[i], i < texts ? "a string" : "an int", arguments[i]);
    bytes += arguments[i].text.size();
  }
  if (!Charge(TextUnits(bytes), id)) return false;
  const std::string_view a = arguments[0].text;
  const std::string_view b = arguments.size() > 1 ? arguments[1].text : std::string_view();
  switch (node.function) {
    case Function::kContains: out = Operand::Bool(Find(a, b) != kNone); return true;
    case Function::kStartsWith: out = Operand::Bool(a.starts_with(b)); return true;
    case Function::kEndsWith: out = Operand::Bool(a.ends_with(b)); return true;
    case Function::kFullMatches:
      if (!Charge(PatternUnits(a.size()), id)) return false;
      out = Operand::Bool(RE2::FullMatch(re2::StringPiece(a.data(), a.size()), *node.pattern));
      return true;
    case Function::kTrim:
      if (arguments.size() == 1) {
        out = Operand::String(Trimmed(a, IsSpace));
        return true;
      }
      // Each character taken off, and the two that stay, is looked for in the set.
      if (!Charge(TextUnits((a.size() + 2) * b.size()), id)) return false;
      out = Operand::String(Trimmed(a, [b](std::string_view rune) { return b.find(rune) != kNone; }));
      return true;
    case Function::kTrimPrefix: out = Operand::String(a.starts_with(b) ? a.substr(b.size()) : a); return true;
    case Function::kTrimSuffix:
      out = Operand::String(a.ends_with(b) ? a.substr(0, a.size() - b.size()) : a);
      return true;
    case Function::kUpper:
    case Function::kLower: {
      char* text = nullptr;
      if (!Make(a.size(), id, text)) return false;
      const bool upper = node.function == Function::kUpper;
      std::transform(a.begin(), a.end(), text, [upper](char c) {
        if (upper && c >= 'a' && c <= 'z') return static_cast<char>(c - 'a' + 'A');
        if (!upper && c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
        return c;
      });
      out = Operand::String({text, a.size()});
      return true;
    }
    case Function::kIndexOf:
    case Function::kLastIndexOf: {
      const bool last = node.function == Function::kLastIndexOf;
      if (last && !Charge(TextUnits(uint64_t{a.size()} * b.size()), id)) return false;
      const size_t found = last ? a.rfind(b) : Find(a, b);
      out = Operand::Int(found == kNone ? -1 : static_cast<int64_t>(found));
      return true;
    }
    case Function::kRepeat: {
      const int64_t times = arguments[1].integer;
      if (times < 0) return Fail(Fault::kArithmetic, id, Quote(node.children[1]) + " must not be negative");
      if (a.empty()) {
        out = Operand::String("");
        return true;
      }
      const auto count = static_cast<uint64_t>(times);
      char* text = nullptr;
      if (count > arena_.left() / a.size()) return Fail(Fault::kCost, id, "the evaluation needs too much memory");
      if (!Charge(TextUnits(count * a.size()), id) || !Make(count * a.size(), id, text)) return false;
      for (uint64_t i = 0; i < count; ++i) std::copy(a.begin(), a.end(), text + i * a.size());
      out = Operand::String({text, count * a.size()});
      return true;
    }
    case Function::kReplace: return CallReplace(id, arguments, out);
    default: return CallSplit(id, arguments, out);
  }
}

bool Evaluator::CallSplit(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const std::string_view separator = arguments[1].text;
  // As Go's SplitN: 0 gives nothing, a negative number everything.
  const int64_t most = arguments.size() > 2 ? arguments[2].integer : -1;
  std::vector<std::string_view> parts;
  std::string_view rest = arguments[0].text;
  if (!Charge(rest.size(), id)) return false;
  if (!arena_.Account(rest.size() / std::max<size_t>(separator.size(), 1) * sizeof(std::string_view))) {
    return Fail(Fault::kCost, id, "the evaluation needs too much memory");
  }
  while (most != 0) {
    const bool last = most > 0 && parts.size() + 1 == static_cast<size_t>(most);
    if (separator.empty() && rest.empty()) break;
    const size_t length = RuneLength(rest);
    const size_t at = last ? kNone : !separator.empty() ? Find(rest, separator) : length < rest.size() ? length : kNone;
    parts.push_back(rest.substr(0, at));
    if (at == kNone) break;
    rest.remove_prefix(at + separator.size());
  }
  Operand* items = nullptr;
  if (!Make(parts.size(), id, items)) return false;
  for (size_t i = 0; i < parts.size(); ++i) items[i] = Operand::String(parts[i]);
  out = Operand::List(items, parts.size());
  return true;
}

bool Evaluator::CallJoin(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const NodeId place = tree_[id].children[0];
  if (!arguments[0].Is(Kind::kList)) return WrongType(place, "a list", arguments[0]);
  if (arguments.size() > 1 && !arguments[1].Is(Kind::kString)) {
    return WrongType(tree_[id].children[1], "a string", arguments[1]);
  }
  const std::string_view separator = arguments.size() > 1 ? arguments[1].text : std::string_view();
  const size_t count = Count(arguments[0]);
  if (!Charge(count, id)) return false;
  std::string joined;
  for (size_t i = 0; i < count; ++i) {
    Operand item;
    if (!Item(arguments[0], i, place, item)) return false;
    if (!item.Is(Kind::kString)) return WrongType(place, "a list of strings", item);
    if (joined.size() + item.text.size() + separator.size() > arena_.left()) {
      return Fail(Fault::kCost, id, "the evaluation needs too much memory");
    }
    if (i > 0) joined += separator;
    joined += item.text;
  }
  return Keep(joined, id, out);
}

bool Evaluator::CallReplace(NodeId id, std::span<const Operand> arguments, Operand& out) {
  const std::string_view from = arguments[1].text;
  const std::string_view to = arguments[2].text;
  int64_t left = arguments.size() > 3 ? arguments[3].integer : -1;
  std::string_view rest = arguments[0].text;
  if (!Charge(rest.size(), id)) return false;
  std::string replaced;
  while (left != 0) {
    // An empty text stands before each character and at the end.
    const size_t at = from.empty() ? 0 : Find(rest, from);
    if (at == kNone) break;
    const size_t step = from.empty() ? RuneLength(rest) : 0;
    if (replaced.size() + at + to.size() + step > arena_.left()) {
      return Fail(Fault::kCost, id, "the evaluation needs too much memory");
    }
    replaced += rest.substr(0, at);
    replaced += to;
    replaced += rest.substr(at, step);
    if (from.empty() && rest.empty()) break;
    rest.remove_prefix(at + from.size() + step);
    --left;
  }
  replaced += rest;
  return Keep(replaced, id, out);
}

}  // namespace bulkhead::expr

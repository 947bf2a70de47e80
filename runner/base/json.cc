#include "runner/base/json.h"

#include <algorithm>
#include <cstdint>

#include "runner/base/json_document.h"

namespace bulkhead {

std::string_view JsonFaultName(JsonFault fault) {
  switch (fault) {
    case JsonFault::kNone: return "none";
    case JsonFault::kSyntax: return "syntax";
    case JsonFault::kTrailingData: return "trailing-data";
    case JsonFault::kInvalidUtf8: return "invalid-utf8";
    case JsonFault::kDuplicateKey: return "duplicate-key";
    case JsonFault::kTooLarge: return "too-large";
    case JsonFault::kTooDeep: return "too-deep";
    case JsonFault::kTooManyValues: return "too-many-values";
  }
  return "none";
}

namespace {

// A document as a tree, with the place of each value. Offsets come in rising order.
class Builder {
 public:
  explicit Builder(std::string_view bytes) : bytes_(bytes) {}

  void Build(const JsonNode& node, Value& value) {
    value.kind = node.kind;
    value.boolean = node.boolean;
    value.at = PlaceOf(node.offset);
    value.text = node.text;
    if (node.is_array()) value.items.reserve(node.size);
    if (node.is_object()) value.members.reserve(node.size);
    for (const JsonNode& child : Children(node)) {
      if (node.is_array()) {
        Build(child, value.items.emplace_back());
      } else {
        Member& member = value.members.emplace_back();
        member.key = child.key;
        member.at = PlaceOf(child.key_offset);
        Build(child, member.value);
      }
    }
  }

 private:
  Position PlaceOf(uint32_t offset) {
    for (; at_ < offset; ++at_) {
      if (bytes_[at_] != '\n') continue;
      ++line_;
      line_start_ = at_ + 1;
    }
    return {line_, static_cast<uint32_t>(offset - line_start_ + 1)};
  }

  const std::string_view bytes_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  uint32_t line_ = 1;
};

}  // namespace

JsonParse ParseJson(std::string_view bytes, const JsonLimits& limits) {
  JsonParse parse;
  JsonDocument document;
  parse.ok = document.Parse(bytes, limits);
  if (parse.ok) {
    Builder(bytes).Build(document.root(), parse.value);
  } else {
    parse.error = document.error();
  }
  return parse;
}

}  // namespace bulkhead

#include "policy/tools/leaf_document.h"

#include <string_view>

namespace bulkhead::policy::tools {

namespace {

// Puts the value at the path that `rest` spells, below `parent`.
void Put(Value& parent, std::string_view rest, const std::vector<std::string>& keys, size_t key, Value value) {
  const size_t dot = rest.find('.');
  std::string_view step = rest.substr(0, dot);
  const std::string_view below = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  const bool keyed = step.ends_with("[]");
  if (keyed) step.remove_suffix(2);
  Value child;
  if (!keyed) {
    if (below.empty()) {
      child = std::move(value);
    } else {
      child = Value::Object();
      Put(child, below, keys, key, std::move(value));
    }
  } else if (below.empty()) {  // a mapping of strings
    child = Value::Object();
    child.Set(keys[key], std::move(value));
  } else {  // a list whose entries have names
    child = Value::Array();
    Value& entry = child.items.emplace_back(Value::Object());
    entry.Set("name", Value::String(keys[key]));
    Put(entry, below, keys, key + 1, std::move(value));
  }
  parent.Set(step, std::move(child));
}

}  // namespace

std::string PathOf(const LeafSpec& leaf, const std::vector<std::string>& keys) {
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::string path;
  AppendPath(leaf, views, path);
  return path;
}

Value DocumentWith(const LeafSpec& leaf, const std::vector<std::string>& keys, Value value) {
  Value document = Value::Object();
  Put(document, leaf.path, keys, 0, std::move(value));
  return document;
}

Value Plausible(const LeafSpec& leaf) {
  switch (leaf.field->type) {
    case FieldType::kDuration: return Value::String("30s");
    case FieldType::kBool: return Value::Bool(true);
    case FieldType::kInteger: return Value::Number(1);
    case FieldType::kStrings: {
      Value list = Value::Array();
      list.items.push_back(Value::String("x"));
      return list;
    }
    case FieldType::kAnything: {
      Value any = Value::Object();
      any.Set("x", Value::String("y"));
      return any;
    }
    default: return Value::String("x");
  }
}

}  // namespace bulkhead::policy::tools

#include "policy/expr/type.h"

#include <utility>

namespace bulkhead::expr {

struct Type::Node {
  Kind kind = Kind::kAny;
  Type key;
  Type element;
  std::string name;  // object: its name; keyed list: the key's field
  std::vector<Field> fields;
  size_t most = 0;
};

Type::Type() = default;
Type::Type(std::shared_ptr<const Node> node) : node_(std::move(node)) {}

namespace {

Type::Node Plain(Kind kind, size_t most = 0) {
  Type::Node node;
  node.kind = kind;
  node.most = most;
  return node;
}

}  // namespace

Type Type::Any() {
  return {};
}
Type Type::Null() {
  return Type(std::make_shared<const Node>(Plain(Kind::kNull)));
}
Type Type::Bool() {
  return Type(std::make_shared<const Node>(Plain(Kind::kBool)));
}
Type Type::Int() {
  return Type(std::make_shared<const Node>(Plain(Kind::kInt)));
}
Type Type::Double() {
  return Type(std::make_shared<const Node>(Plain(Kind::kDouble)));
}
Type Type::Bytes(size_t most_bytes) {
  return Type(std::make_shared<const Node>(Plain(Kind::kBytes, most_bytes)));
}
Type Type::Duration() {
  return Type(std::make_shared<const Node>(Plain(Kind::kDuration)));
}
Type Type::String(size_t most_bytes) {
  return Type(std::make_shared<const Node>(Plain(Kind::kString, most_bytes)));
}

Type Type::List(Type element, size_t most_items) {
  Node node = Plain(Kind::kList, most_items);
  node.element = std::move(element);
  return Type(std::make_shared<const Node>(std::move(node)));
}

Type Type::Map(Type key, Type value, size_t most_entries) {
  Node node = Plain(Kind::kMap, most_entries);
  node.key = std::move(key);
  node.element = std::move(value);
  return Type(std::make_shared<const Node>(std::move(node)));
}

Type Type::KeyedList(Type element, std::string key_field, size_t most_entries) {
  Node node = Plain(Kind::kMap, most_entries);
  node.key = String();
  node.element = std::move(element);
  node.name = std::move(key_field);
  return Type(std::make_shared<const Node>(std::move(node)));
}

Type Type::Object(std::string name, std::vector<Field> fields) {
  Node node = Plain(Kind::kObject);
  node.name = std::move(name);
  node.fields = std::move(fields);
  return Type(std::make_shared<const Node>(std::move(node)));
}

Kind Type::kind() const {
  return node_ == nullptr ? Kind::kAny : node_->kind;
}

namespace {

const Type kAnyType;
const std::string kNoName;
const std::vector<Field> kNoFields;

}  // namespace

const Type& Type::element() const {
  return node_ == nullptr ? kAnyType : node_->element;
}
const Type& Type::key() const {
  return node_ == nullptr ? kAnyType : node_->key;
}
const std::string& Type::key_field() const {
  return node_ != nullptr && node_->kind == Kind::kMap ? node_->name : kNoName;
}
const std::vector<Field>& Type::fields() const {
  return node_ == nullptr ? kNoFields : node_->fields;
}
size_t Type::most() const {
  return node_ == nullptr ? 0 : node_->most;
}

const Field* Type::Find(std::string_view field) const {
  for (const Field& candidate : fields()) {
    if (candidate.name == field) return &candidate;
  }
  return nullptr;
}

std::string Type::ToString() const {
  switch (kind()) {
    case Kind::kAny: return "any";
    case Kind::kNull: return "null";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kDouble: return "double";
    case Kind::kString: return "string";
    case Kind::kBytes: return "bytes";
    case Kind::kDuration: return "duration";
    case Kind::kList: return "list(" + element().ToString() + ")";
    case Kind::kMap: return "map(" + key().ToString() + ", " + element().ToString() + ")";
    case Kind::kObject: return node_->name;
  }
  return "any";
}

bool Type::operator==(const Type& other) const {
  if (node_ == other.node_) return true;
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kList: return element() == other.element();
    case Kind::kMap: return key() == other.key() && element() == other.element() && key_field() == other.key_field();
    case Kind::kObject: return node_->name == other.node_->name;
    default: return true;
  }
}

std::optional<size_t> Environment::Index(std::string_view name) const {
  for (size_t i = 0; i < variables_.size(); ++i) {
    if (variables_[i].name == name) return i;
  }
  return std::nullopt;
}

}  // namespace bulkhead::expr

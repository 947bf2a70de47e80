#include "policy/expr/reader.h"

namespace bulkhead::expr {

namespace {

class TreeReader final : public Reader {
 public:
  Value::Kind KindOf(const void* node) const override { return Get(node).kind; }
  bool Bool(const void* node) const override { return Get(node).boolean; }
  std::string_view Text(const void* node) const override { return Get(node).text; }
  size_t Size(const void* node) const override {
    const Value& value = Get(node);
    return value.is_object() ? value.members.size() : value.items.size();
  }
  const void* Item(const void* list, size_t index) const override { return &Get(list).items[index]; }
  std::string_view Key(const void* mapping, size_t index) const override { return Get(mapping).members[index].key; }
  const void* Member(const void* mapping, size_t index) const override { return &Get(mapping).members[index].value; }
  const void* Find(const void* mapping, std::string_view key) const override { return Get(mapping).Find(key); }

 private:
  static const Value& Get(const void* node) { return *static_cast<const Value*>(node); }
};

}  // namespace

const Reader& ValueReader() {
  static const TreeReader reader;
  return reader;
}

}  // namespace bulkhead::expr

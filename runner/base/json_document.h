// JsonDocument: the strict reader of runner/base/json.h without a tree of owned values. Nodes lie in one array
// and strings are views, so that reading again with the same object allocates nothing once it is warm.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/json.h"
#include "runner/base/value.h"

namespace bulkhead {

// One value. The nodes below it follow it in the array: its first child is the next node, a child's next sibling is
// `span` nodes on.
struct JsonNode {
  Value::Kind kind = Value::Kind::kNull;
  bool boolean = false;
  bool has_key = false;        // a member of an object
  uint32_t size = 0;           // items or members
  uint32_t span = 1;           // nodes of its subtree, itself among them
  uint32_t offset = 0;         // in the bytes that were read
  uint32_t key_offset = 0;     // of a member's key
  std::string_view key = {};   // of a member, unescaped
  std::string_view text = {};  // kString: unescaped UTF-8; kNumber: the lexeme
  // For whoever walks the document; never set by the reader.
  const void* mark = nullptr;

  bool is_null() const { return kind == Value::Kind::kNull; }
  bool is_string() const { return kind == Value::Kind::kString; }
  bool is_array() const { return kind == Value::Kind::kArray; }
  bool is_object() const { return kind == Value::Kind::kObject; }

  const JsonNode* Next() const { return this + span; }
};

// The children of a node: for (const JsonNode& child : Children(node)).
class Children {
 public:
  class Iterator {
   public:
    Iterator(const JsonNode* node, uint32_t left) : node_(node), left_(left) {}
    const JsonNode& operator*() const { return *node_; }
    Iterator& operator++() {
      if (--left_ > 0) node_ = node_->Next();
      return *this;
    }
    bool operator!=(const Iterator& other) const { return left_ != other.left_; }

   private:
    const JsonNode* node_;
    uint32_t left_;
  };

  explicit Children(const JsonNode& node) : node_(node) {}
  Iterator begin() const { return {&node_ + 1, node_.size}; }
  Iterator end() const { return {nullptr, 0}; }

 private:
  const JsonNode& node_;
};

// The member's node; nullptr when there is none. Exact case.
const JsonNode* FindMember(const JsonNode& object, std::string_view key);

// Compact JSON, written as AppendJson writes a Value.
void AppendJson(const JsonNode& node, std::string& out);

// The same as a tree of its own, without positions.
Value ToValue(const JsonNode& node);

// Not thread-safe. Views in the nodes borrow from `bytes` and from this object, until the next Parse.
class JsonDocument {
 public:
  // True when the bytes are a document; then root() is it.
  bool Parse(std::string_view bytes, const JsonLimits& limits = {});

  const JsonNode& root() const { return nodes_.front(); }
  JsonNode& root() { return nodes_.front(); }
  const std::vector<JsonNode>& nodes() const { return nodes_; }
  const JsonError& error() const { return error_; }
  size_t depth() const { return depth_; }  // of nested arrays and objects; a scalar has 0

 private:
  class Parser;

  std::vector<JsonNode> nodes_;
  std::string unescaped_;  // never grows while a document is read, so that views into it hold
  std::vector<uint32_t> order_;
  struct Step {
    uint32_t container = 0;
    uint32_t index = 0;
    std::string_view key = {};
  };
  std::vector<Step> path_;
  size_t depth_ = 0;
  JsonError error_;
};

}  // namespace bulkhead

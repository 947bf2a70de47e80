// The effective next state of a call, and how it differs from what was sent. Internal to policy/.
//
// The next state is never built for a decision: a Slot is one place of it, seen as the pair of what was sent and what
// the reply says. Objects merge as by JSON merge patch (RFC 7386); entries of keyed lists are replaced as a whole.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/constraint.h"
#include "policy/path.h"
#include "policy/rules.h"
#include "policy/schema/schema.h"
#include "runner/base/json_document.h"
#include "runner/base/value.h"

namespace bulkhead::policy {

struct Slot {
  const Value* before = nullptr;    // null: was not there
  const JsonNode* after = nullptr;  // null: the reply does not speak of it
  bool replaced = false;            // what the reply leaves out is gone
};

// One leaf change. Views borrow from the sent state and the reply's document.
struct Change {
  Op op = Op::kAdd;
  uint8_t key_count = 0;
  ProtectedSet set = ProtectedSet::kNone;
  const FieldSpec* field = nullptr;
  const StructSpec* empty_struct = nullptr;  // an empty struct of a protected set was added; `field` is its field
  std::array<std::string_view, kMostKeys> keys = {};
  const Value* before = nullptr;    // null for kAdd
  const JsonNode* after = nullptr;  // null for kRemove

  std::span<const std::string_view> Keys() const { return {keys.data(), key_count}; }
};
void AppendPath(const Change& change, std::string& out);

Scalar ScalarOf(const Value* value);
Scalar ScalarOf(const JsonNode* node);

// A keyed list of the reply that no policy can allow.
struct ListFault {
  std::string path;
  std::string reason;
};

// Finds the changes; keeps its memory between calls. Not thread-safe. Its work is n log n in the sizes of both.
class Differ {
 public:
  // `after` was admitted by the Decoder for `spec`.
  void Run(const StructSpec& spec, const Value* before, const JsonNode& after);

  const std::vector<Change>& changes() const { return changes_; }
  std::span<const ListFault> faults() const { return {faults_.data(), fault_count_}; }

 private:
  struct OldEntry {
    std::string_view key;
    const Value* value;
  };
  struct NewEntry {
    std::string_view key;
    uint32_t order;
  };

  void Struct(const StructSpec& spec, const Slot& slot);
  void Field(const FieldSpec& field, const Value* before, const JsonNode& after, bool replaced);
  void KeyedList(const FieldSpec& field, const Value* before, const JsonNode& after);
  void StringMap(const FieldSpec& field, const Value* before, const JsonNode& after, bool replaced);
  void Leaf(const FieldSpec& field, const Value* before, const JsonNode& after);
  void RemoveAll(const FieldSpec& field, const Value& before);
  void Add(Op op, const FieldSpec& field, const Value* before, const JsonNode* after);
  void ListProblem(const FieldSpec& field, const StructSpec& spec, std::string_view key, std::string_view reason);
  bool CheckNames(const FieldSpec& field, const JsonNode& list);
  // Entries of what was sent by key, from `begin` of entries_ on.
  size_t SortEntries(const Value* before, bool list);
  const Value* FindEntry(size_t begin, std::string_view key) const;
  bool PushKey(std::string_view key);
  void PopKey() { --key_count_; }

  std::vector<Change> changes_;
  std::vector<ListFault> faults_;
  size_t fault_count_ = 0;
  std::vector<OldEntry> entries_;
  std::vector<NewEntry> names_;
  std::array<std::string_view, kMostKeys> keys_ = {};
  uint8_t key_count_ = 0;
};

// The name of a keyed list's entry; empty when it has none.
std::string_view EntryName(const JsonNode& entry);
std::string_view EntryName(const Value& entry);

// Whether the next state has a leaf that the pattern matches.
bool IsPresent(const PathPattern& pattern, const StructSpec& spec, const Value* before, const JsonNode& after);

// The next state as canonical JSON: known fields only, in the schema's order, empty structs and lists left out.
void AppendEffective(const StructSpec& spec, const Value* before, const JsonNode& after, std::string& out);
// The changes alone as a JSON merge patch.
void AppendMergePatch(const StructSpec& spec, const Value* before, const JsonNode& after, std::string& out);

}  // namespace bulkhead::policy

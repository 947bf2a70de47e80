// Every field that Argo's types have in the replies of its plugin RPC, and the protected set each belongs to.
// What is not here, Argo does not have.
//
// The tables are generated when building: leaves.txt is generated from Argo's published OpenAPI and CRD files by
// generate.py; spec_fields.txt holds the fields of a workflow's spec, which those files do not describe;
// classes.txt, written by hand, puts each leaf into `allowable` or into exactly one protected set. tables.py makes
// C++ of them and fails on a leaf that is in none or in two. Immutable; safe from all threads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::policy {

enum class Rpc : uint8_t {
  kTemplateExecute,
  kWorkflowPreOperate,
  kWorkflowPostOperate,
  kNodePreExecute,
  kNodePostExecute,
  kParametersAdd,
};
constexpr size_t kRpcCount = 6;
std::string_view RpcName(Rpc rpc);  // "template.execute", ...
std::optional<Rpc> RpcByName(std::string_view name);
std::span<const std::string_view> RpcNames();

enum class FieldType : uint8_t {
  kString,
  kAnyString,  // Argo's AnyString: a string; integers and booleans are taken as their text
  kDuration,   // metav1.Duration: a string that Go's time.ParseDuration reads
  kBool,
  kInteger,
  kStrings,    // a list of strings; changed only as a whole
  kStringMap,  // any key to a string; a leaf for each key
  kAnything,   // free form; changed only as a whole
  kStruct,
  kKeyedList,  // a list of structs whose merge key is `name`
};
std::string_view TypeName(FieldType type);  // as in leaves.txt: "string", "any-string", ...

// The built-in protected sets. kNone: a policy may allow the leaf.
enum class ProtectedSet : uint8_t {
  kNone,
  kArtifactLocations,
  kBounds,
  kCode,
  kControllerLabels,
  kCredentials,
  kGlobals,
  kIdentity,
  kOwnership,
  kPodSecurity,
  kResultOnly,
  kRetention,
  kStatus,
};
std::string_view SetName(ProtectedSet set);    // "argo.globals"; "" for kNone
std::string_view SetReason(ProtectedSet set);  // why it is protected: the rest of a sentence
std::optional<ProtectedSet> SetByName(std::string_view name);
std::span<const std::string_view> SetNames();

// Leaves whose key decides: some keys are protected, others are not.
enum class KeyRule : uint8_t { kNone, kLabels, kVariables };

constexpr uint16_t kNoLeaf = UINT16_MAX;
constexpr size_t kMostKeys = 3;  // keys in one path

struct StructSpec;

struct FieldSpec {
  std::string_view name;
  FieldType type = FieldType::kString;
  // Of a leaf; of a struct, the set that all leaves below it share, if they share one.
  ProtectedSet set = ProtectedSet::kNone;
  KeyRule keys = KeyRule::kNone;
  uint16_t leaf = kNoLeaf;            // index in Leaves(); kNoLeaf for structs and keyed lists
  const StructSpec* child = nullptr;  // kStruct, kKeyedList
};

struct StructSpec {
  std::string_view path;              // "node.outputs.parameters[]"; "" for a root
  std::span<const FieldSpec> fields;  // sorted by name

  const FieldSpec* Find(std::string_view field) const;
};

struct LeafSpec {
  std::string_view path;  // "node.outputs.parameters[].value", "workflow.metadata.labels[]"
  const FieldSpec* field = nullptr;
  uint8_t keys = 0;  // how many [] its path has
};

// The reply of an RPC; nullptr for the post hooks, whose reply has nothing.
const StructSpec* ReplySpec(Rpc rpc);

// All leaves of all RPCs, sorted by path.
std::span<const LeafSpec> Leaves();
// Whether the leaf occurs in a reply of the RPC.
bool InReply(Rpc rpc, uint16_t leaf);

// The protected set of a leaf under a key: FieldSpec::set, or what its KeyRule says of the key.
ProtectedSet SetOf(const FieldSpec& field, std::string_view key);

}  // namespace bulkhead::policy

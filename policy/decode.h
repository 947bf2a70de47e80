// Strict decoding of replies. A reply is admitted only when every byte of it is accounted for by Argo's types, in
// Argo's spelling, so that no Go reader can see another document in it than the policy does.
//
// Ids of faults: decode.syntax, .trailing-data, .invalid-utf8, .duplicate-key, .too-large, .too-deep,
// .too-many-values (of the bytes); .unknown-field, .wrong-case, .wrong-type, .bad-duration (of the fields);
// .unexpected-body (a post hook's reply that says anything).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/schema/schema.h"
#include "runner/base/json.h"
#include "runner/base/json_document.h"

namespace bulkhead::policy {

// A body over it is refused unread.
constexpr size_t kMostReplyBytes = 1U << 20U;

class FaultSink {
 public:
  virtual ~FaultSink() = default;
  // `path` as policies write it ("node.phase"; entries of lists by their place: "node.outputs.parameters[0]"); empty
  // for the reply as a whole. `message` is a sentence, with " (did you mean ...)" where it helps. Both are fit for a
  // terminal and hold no value, but may hold a key of the plugin's choice.
  virtual void Fault(std::string_view id, std::string_view path, std::string_view message) = 0;
};

// Reads replies; keeps its memory between calls. Not thread-safe.
class Decoder {
 public:
  // True when there was no fault. Then document() is the reply, and the mark of every member of a struct is its
  // FieldSpec. AnyStrings are strings. A null stays where it stood. At most 32 faults are reported.
  bool Decode(Rpc rpc, std::string_view bytes, FaultSink& sink);

  const JsonDocument& document() const { return document_; }
  // After a Decode that went well: false for `{}`, `null`, a reply whose only content is null, and for an empty body
  // of a post hook.
  bool says_something() const { return says_something_; }

 private:
  void Struct(JsonNode& value, const StructSpec& spec);
  void Field(JsonNode& value, const FieldSpec& field);
  void List(JsonNode& value, const FieldSpec& field);
  void StringMap(JsonNode& value);
  void AnyString(JsonNode& value);
  void Unknown(const JsonNode& object, const JsonNode& member, const StructSpec& spec);
  void Anything(const JsonNode& value);
  void WrongType(const JsonNode& value, std::string_view expected);
  void Add(std::string_view id);

  JsonDocument document_;
  bool says_something_ = false;
  FaultSink* sink_ = nullptr;
  size_t faults_ = 0;
  std::string path_;          // of the value being checked
  std::string id_, message_;  // of the fault being reported
};

struct DecodeFault {
  std::string id;
  std::string path;
  std::string message;
};

// The same as values, for tests and tools.
struct Decoded {
  bool ok = false;
  bool says_something = false;
  std::string document;  // ok: compact JSON of what was read
  std::vector<DecodeFault> faults;
};
Decoded DecodeReply(Rpc rpc, std::string_view bytes);

}  // namespace bulkhead::policy

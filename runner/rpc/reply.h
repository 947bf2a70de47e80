// Strict decoding of a `template.execute` reply. A reply is admitted only when every byte of it is
// accounted for by Argo's types; what is applied later is encoded anew from the decoded form.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/json.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::rpc {

struct DecodeFault {
  std::string id;       // "decode.duplicate-key", "decode.unknown-field", "decode.wrong-case", "decode.wrong-type", ...
  std::string path;     // policy path of the place, e.g. "node.phase", when known
  std::string message;  // a sentence, with " (did you mean ...)" where it helps; plugin text in it is escaped
};

struct DecodedReply {
  bool mine = false;  // false: `{}` or `null`
  Value document;     // the reply as an object {"node": ..., "requeue": ...}
  std::optional<std::chrono::nanoseconds> requeue;
};

struct Decoded {
  std::optional<DecodedReply> reply;  // set when there is no fault
  std::vector<DecodeFault> faults;
};

// Never throws; linear in the size of `bytes`.
Decoded DecodeExecuteReply(std::string_view bytes, const JsonLimits& limits = {});

}  // namespace bulkhead::rpc

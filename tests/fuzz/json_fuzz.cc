#include "runner/base/json.h"

#include "fuzz.h"
#include "runner/base/text.h"

using namespace bulkhead;

// What is read is valid UTF-8, and what is written of it reads back the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = fuzz::Text(data, size);
  const JsonParse parse = ParseJson(bytes);
  if (!parse.ok) {
    fuzz::Require(parse.error.fault != JsonFault::kNone && !parse.error.message.empty(), "a refusal has its reason");
    fuzz::Require(parse.error.offset <= bytes.size(), "a refusal's place is in the input");
    return 0;
  }
  fuzz::Require(IsValidUtf8(bytes), "only UTF-8 is read");
  const std::string written = ToJson(parse.value);
  const JsonParse again = ParseJson(written, {.bytes = written.size(), .string_bytes = written.size()});
  fuzz::Require(again.ok && ToJson(again.value) == written, "what is written reads back the same");
  return 0;
}

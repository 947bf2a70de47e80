#include "fuzz.h"
#include "runner/redact/redactor.h"

using namespace bulkhead;

namespace {

const std::shared_ptr<const redact::Redactor>& Setup() {
  static const auto* const redactor = [] {
    std::vector<redact::NamedSecret> secrets;
    secrets.push_back({"a", Secret("aabaabaa")});
    secrets.push_back({"b", Secret("p\"\\/+<>&'")});
    secrets.push_back({"c", Secret("baabaabaabb")});
    return new std::shared_ptr<const redact::Redactor>(*redact::Redactor::Create(std::move(secrets)));
  }();
  return *redactor;
}

}  // namespace

// The first byte chooses the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text = fuzz::Text(data + 1, size - 1);
  const std::string whole = Setup()->Redact(text);
  fuzz::Require(whole.find("aabaabaa") == std::string::npos, "no secret is left");
  fuzz::Require(Setup()->Contains(text) || whole == text, "what holds no secret is the same");
  redact::StreamRedactor stream(Setup());
  std::string out;
  const size_t piece = data[0] % 32U + 1U;
  for (size_t at = 0; at < text.size(); at += piece) stream.Write(text.substr(at, piece), out);
  stream.Finish(out);
  fuzz::Require(out == whole, "the output does not depend on how the input was cut");
  return 0;
}

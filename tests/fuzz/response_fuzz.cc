#include "runner/rpc/response_parser.h"

#include "fuzz.h"

using namespace bulkhead;
using rpc::ResponseParser;

namespace {

// The first byte of the input chooses the size of the pieces.
ResponseParser Feed(std::string_view bytes, size_t piece, size_t& taken) {
  ResponseParser parser({.head_bytes = 4096, .body_bytes = 8192});
  taken = 0;
  while (taken < bytes.size() &&
         (parser.state() == ResponseParser::State::kHead || parser.state() == ResponseParser::State::kBody)) {
    const std::string_view part = bytes.substr(taken, piece);
    const size_t fed = parser.Feed(part);
    fuzz::Require(fed <= part.size(), "no more is taken than there is");
    taken += fed;
  }
  if (parser.state() == ResponseParser::State::kHead || parser.state() == ResponseParser::State::kBody) parser.End();
  return parser;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::Text(data + 1, size - 1);
  size_t whole_taken = 0;
  size_t taken = 0;
  ResponseParser whole = Feed(bytes, SIZE_MAX, whole_taken);
  ResponseParser pieces = Feed(bytes, data[0] % 16U + 1U, taken);
  fuzz::Require(whole.state() == pieces.state(), "the state does not depend on how the input was cut");
  if (whole.state() != ResponseParser::State::kDone) {
    fuzz::Require(!whole.error().empty(), "a refusal has its reason");
    return 0;
  }
  fuzz::Require(taken == whole_taken && whole.status() == pieces.status() && whole.keep_alive() == pieces.keep_alive(),
                "nor does the head");
  const std::string body = whole.TakeBody();
  fuzz::Require(body == pieces.TakeBody(), "nor does the body");
  fuzz::Require(body.size() <= 8192, "the limit holds");
  return 0;
}

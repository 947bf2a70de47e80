#include "runner/rpc/request_parser.h"

#include "fuzz.h"

using namespace bulkhead;
using rpc::RequestParser;

namespace {

bool Going(const RequestParser& parser) {
  return parser.state() == RequestParser::State::kHead || parser.state() == RequestParser::State::kBody;
}

RequestParser Feed(std::string_view bytes, size_t piece, size_t& taken) {
  RequestParser parser({.head_bytes = 4096, .target_bytes = 128, .headers = 32, .body_bytes = 8192});
  taken = 0;
  while (taken < bytes.size() && Going(parser)) {
    const std::string_view part = bytes.substr(taken, piece);
    const size_t fed = parser.Feed(part);
    fuzz::Require(fed <= part.size(), "no more is taken than there is");
    fuzz::Require(fed > 0, "it goes on or it stops");
    taken += fed;
  }
  return parser;
}

}  // namespace

// The first byte of the input chooses the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::Text(data + 1, size - 1);
  size_t whole_taken = 0;
  size_t taken = 0;
  RequestParser whole = Feed(bytes, SIZE_MAX, whole_taken);
  RequestParser pieces = Feed(bytes, data[0] % 16U + 1U, taken);
  fuzz::Require((whole.state() == RequestParser::State::kFailed) == (pieces.state() == RequestParser::State::kFailed),
                "what is refused does not depend on how the input was cut");
  if (whole.state() == RequestParser::State::kFailed) {
    fuzz::Require(whole.status() >= 400 && !whole.error().empty(), "a refusal has its status and reason");
    return 0;
  }
  fuzz::Require(whole.state() == pieces.state() && taken == whole_taken, "nor does where the request ends");
  if (whole.state() != RequestParser::State::kDone) return 0;
  const rpc::RequestHead& head = whole.head();
  fuzz::Require(head.target == pieces.head().target && head.authorization == pieces.head().authorization &&
                    head.keep_alive == pieces.head().keep_alive,
                "nor does the head");
  fuzz::Require(head.target.starts_with('/') && head.target.size() <= 128, "a target is a short path");
  const std::string body = whole.TakeBody();
  fuzz::Require(body == pieces.TakeBody() && body.size() == head.content_length && body.size() <= 8192,
                "the body is as long as the head says");
  return 0;
}

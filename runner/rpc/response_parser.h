// ResponseParser: one HTTP/1.x response from hostile bytes, with the strictness of RFC 9112.
//
// Refused: lines that don't end in CRLF, folded header lines, both or several of Content-Length and
// Transfer-Encoding, any transfer coding but chunked, control characters, interim (1xx) responses unless
// asked for, and whatever exceeds the limits: all that two readers could see differently. Not thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runner/rpc/http_head.h"

namespace bulkhead::rpc {

struct ResponseLimits {
  size_t head_bytes = 16U << 10U;  // status line and headers; chunk extensions and trailers count too
  size_t body_bytes = 1U << 20U;
  std::string_view peer = "plugin";  // who answers, for messages; a literal
  // The response to a HEAD or CONNECT request: it ends with its head, whatever its fields say of a body.
  bool no_body = false;
  // Skips interim responses (1xx but 101), which web servers may send unasked; else they are refused.
  bool skip_interim = false;
};

class ResponseParser {
 public:
  enum class State { kHead, kBody, kDone, kFailed };

  explicit ResponseParser(ResponseLimits limits) : limits_(limits) {}

  // Takes what belongs to this response and returns how many bytes that were; what is left came too early.
  size_t Feed(std::string_view bytes);
  // The peer ended the stream cleanly: the end of a body without a length, else an early end.
  void End();

  State state() const { return state_; }
  // Whether any byte was taken.
  bool started() const { return started_; }

  // From kBody on.
  int status() const { return status_; }
  const std::string& reason_phrase() const { return reason_phrase_; }
  std::string TakeBody() { return std::move(body_); }
  // From kBody on: what came of the body since the last call, for a body that is read as it comes; the limit on
  // the body then holds for what was not drained yet.
  std::string DrainBody();
  // From kBody on: the first header field of this name (given in lower case), or nullptr.
  const std::string* Header(std::string_view lower) const;
  // All of them, in their order, names as they came.
  const std::vector<std::pair<std::string, std::string>>& headers() const { return headers_; }
  bool keep_alive() const { return keep_alive_; }

  // kFailed: a sentence without text of the peer.
  const std::string& error() const { return error_; }
  // kFailed: the stream ended before the response did.
  bool ended_early() const { return ended_early_; }

 private:
  enum class Framing { kNone, kLength, kChunked, kUntilClose };
  enum class Chunk { kSize, kData, kDataEnd, kTrailer };

  std::string Peer() const;
  void Fail(std::string reason);
  HeadFormat Format() const;
  size_t FeedHead(std::string_view bytes);
  size_t FeedLength(std::string_view bytes);
  size_t FeedChunked(std::string_view bytes);
  size_t FeedUntilClose(std::string_view bytes);
  size_t TakeLine(std::string_view bytes, bool& complete);
  void ParseHead();
  bool ParseStatusLine(std::string_view line);
  bool ParseHeader(std::string_view line);
  void ChooseFraming();
  void ParseChunkSize(std::string_view line);
  void FailTooLarge();

  const ResponseLimits limits_;
  State state_ = State::kHead;
  bool started_ = false;
  std::string line_;     // the head so far, or the chunk line so far
  size_t overhead_ = 0;  // bytes of chunk lines and trailers
  std::vector<std::pair<std::string, std::string>> headers_;
  std::string body_;
  size_t drained_ = 0;  // of the body, given out
  std::string error_;
  bool ended_early_ = false;

  int status_ = 0;
  std::string reason_phrase_;
  bool http_1_0_ = false;
  bool keep_alive_ = false;
  int interim_ = 0;  // responses skipped
  Persistence persistence_;
  bool has_length_ = false;
  bool has_encoding_ = false;
  Framing framing_ = Framing::kNone;
  Chunk chunk_ = Chunk::kSize;
  size_t left_ = 0;  // of the body or the chunk
};

}  // namespace bulkhead::rpc

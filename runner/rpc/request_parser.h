// RequestParser: one HTTP/1.x request from untrusted bytes, with the strictness of RFC 9112.
//
// A body is taken only by a Content-Length: a Transfer-Encoding is answered 411, as RFC 9112, section
// 6.1, lets a server do. Argo's clients, written in Go, always know the length of what they send, and with one
// kind of framing there is nothing that two readers could see differently (request smuggling). Also
// refused: lines that don't end in CRLF, folded header lines, a second Content-Length, Host or
// Authorization, control characters, a target that is no plain path, and whatever exceeds the
// limits. Not thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "runner/rpc/http_head.h"

namespace bulkhead::rpc {

struct RequestLimits {
  size_t head_bytes = 8U << 10U;  // request line and headers
  size_t target_bytes = 256;
  size_t headers = 64;
  size_t body_bytes = 8U << 20U;
};

// The parts of a head that somebody here reads. Values are as they came, without the space around them.
struct RequestHead {
  std::string method;  // "POST"
  std::string target;  // "/api/v1/template.execute"; begins with "/"
  std::string host;
  std::string authorization;  // a secret
  std::string content_type;
  size_t content_length = 0;
  bool http_1_0 = false;
  bool keep_alive = false;        // the client wants the connection to stay
  bool expects_continue = false;  // it waits for "100 Continue" before it sends the body
};

class RequestParser {
 public:
  enum class State { kHead, kBody, kDone, kFailed };

  explicit RequestParser(RequestLimits limits) : limits_(limits) {}

  // Takes what belongs to this request and returns how many bytes that were; what is left is the next
  // request's. Returns early when the head is complete and a body follows, so that the head can be
  // judged before the body is read.
  size_t Feed(std::string_view bytes);

  State state() const { return state_; }
  // Whether any byte was taken.
  bool started() const { return started_; }

  // kBody and kDone.
  const RequestHead& head() const { return head_; }
  // kDone.
  std::string TakeBody() { return std::move(body_); }

  // kFailed: the status to answer with, and a sentence without text of the client.
  int status() const { return status_; }
  const std::string& error() const { return error_; }

 private:
  void Fail(int status, std::string reason);
  void Fail(HeadFault fault);
  HeadFormat Format() const;
  size_t FeedHead(std::string_view bytes);
  void ParseHead();
  bool ParseRequestLine(std::string_view line);
  bool ParseHeader(std::string_view line);
  bool TakeOnce(std::string& into, bool& seen, std::string_view value, std::string_view name);
  void Begin();

  const RequestLimits limits_;
  State state_ = State::kHead;
  bool started_ = false;
  std::string line_;  // the head so far
  RequestHead head_;
  std::string body_;
  int status_ = 0;
  std::string error_;

  bool has_host_ = false;
  bool has_length_ = false;
  bool has_authorization_ = false;
  bool has_content_type_ = false;
  bool has_encoding_ = false;
  Persistence persistence_;
};

}  // namespace bulkhead::rpc

#include "runner/rpc/request_parser.h"

#include <algorithm>
#include <utility>

#include "runner/rpc/http_text.h"

namespace bulkhead::rpc {

namespace {

constexpr size_t kLongestMethod = 16;
constexpr size_t kReserveRequest = 64U << 10U;

// RFC 9112, section 3.2.1, without what an API of ours never has: no query, no escapes.
bool IsPlainTarget(std::string_view target) {
  return target.starts_with('/') && std::all_of(target.begin(), target.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) || c == '/' || c == '.' || c == '-' ||
                  c == '_';
         });
}

}  // namespace

size_t RequestParser::Feed(std::string_view bytes) {
  if (bytes.empty() || state_ == State::kDone || state_ == State::kFailed) return 0;
  started_ = true;
  if (state_ == State::kHead) return FeedHead(bytes);
  const size_t take = std::min(head_.content_length - body_.size(), bytes.size());
  body_.append(bytes.substr(0, take));
  if (body_.size() == head_.content_length) state_ = State::kDone;
  return take;
}

void RequestParser::Fail(int status, std::string reason) {
  state_ = State::kFailed;
  status_ = status;
  error_ = std::move(reason);
}

void RequestParser::Fail(HeadFault fault) {
  Fail(fault.status, std::move(fault.reason));
}

HeadFormat RequestParser::Format() const {
  return {"request", limits_.head_bytes, limits_.headers};
}

size_t RequestParser::FeedHead(std::string_view bytes) {
  HeadPart part = TakeHead(bytes, Format(), line_);
  if (part.fault.has_value()) {
    Fail(std::move(*part.fault));
  } else if (part.complete) {
    ParseHead();
    line_.clear();
  }
  return part.taken;
}

void RequestParser::ParseHead() {
  HeadLines lines(line_, Format());
  while (const auto line = lines.Next()) {
    if (!(lines.at_start() ? ParseRequestLine(*line) : ParseHeader(*line))) return;
  }
  if (lines.fault().has_value()) return Fail(*lines.fault());
  Begin();
}

bool RequestParser::ParseRequestLine(std::string_view line) {
  // POST /api/v1/template.execute HTTP/1.1
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  const std::string_view method = line.substr(0, first);
  if (first == std::string_view::npos || first == last || method.size() > kLongestMethod || !IsToken(method)) {
    Fail(400, "no valid HTTP/1.x request line");
    return false;
  }
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    const bool other = version.starts_with("HTTP/") && version.size() == 8 && IsDigit(version[5]);
    Fail(other ? 505 : 400, other ? "only HTTP/1.0 and HTTP/1.1 are spoken here" : "no valid HTTP/1.x request line");
    return false;
  }
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.size() > limits_.target_bytes) {
    Fail(414, "the request's target is longer than " + std::to_string(limits_.target_bytes) + " bytes");
    return false;
  }
  if (!IsPlainTarget(target)) {
    Fail(400, "the request's target is no plain path");
    return false;
  }
  head_.method = std::string(method);
  head_.target = std::string(target);
  head_.http_1_0 = version == "HTTP/1.0";
  return true;
}

bool RequestParser::TakeOnce(std::string& into, bool& seen, std::string_view value, std::string_view name) {
  if (seen) {
    Fail(400, "more than one " + std::string(name) + " in the request");
    return false;
  }
  seen = true;
  into = std::string(value);
  return true;
}

bool RequestParser::ParseHeader(std::string_view line) {
  const auto field = SplitField(line);
  if (!field.has_value()) {
    Fail(400, "a malformed header field in the request");
    return false;
  }
  const auto& [name, value] = *field;
  if (EqualsIgnoringCase(name, "host")) return TakeOnce(head_.host, has_host_, value, "Host");
  if (EqualsIgnoringCase(name, "authorization"))
    return TakeOnce(head_.authorization, has_authorization_, value, "Authorization");
  if (EqualsIgnoringCase(name, "content-type"))
    return TakeOnce(head_.content_type, has_content_type_, value, "Content-Type");
  if (EqualsIgnoringCase(name, "content-length")) {
    std::string digits;
    if (!TakeOnce(digits, has_length_, value, "Content-Length")) return false;
    const auto length = ReadContentLength(digits);
    if (!length.has_value()) {
      Fail(400, "the request's Content-Length is no number");
      return false;
    }
    head_.content_length = *length;
  } else if (EqualsIgnoringCase(name, "transfer-encoding")) {
    has_encoding_ = true;
  } else if (EqualsIgnoringCase(name, "connection")) {
    persistence_.Add(value);
  } else if (EqualsIgnoringCase(name, "expect")) {
    if (!EqualsIgnoringCase(value, "100-continue")) {
      Fail(417, "an expectation other than 100-continue");
      return false;
    }
    head_.expects_continue = true;
  } else if (EqualsIgnoringCase(name, "content-encoding") && !EqualsIgnoringCase(value, "identity")) {
    Fail(415, "a Content-Encoding, which is not read here");
    return false;
  }
  return true;
}

void RequestParser::Begin() {
  if (has_encoding_) {
    return has_length_ ? Fail(400, "both Transfer-Encoding and Content-Length in the request")
                       : Fail(411, "a Transfer-Encoding in the request: send a Content-Length");
  }
  if (!has_host_ && !head_.http_1_0) return Fail(400, "an HTTP/1.1 request without Host");
  head_.keep_alive = persistence_.KeepsAlive(head_.http_1_0);
  if (head_.http_1_0) head_.expects_continue = false;
  if (head_.content_length > limits_.body_bytes)
    return Fail(413, "the request's body is larger than " + std::to_string(limits_.body_bytes) + " bytes");
  // The client only claims the length: memory follows what comes.
  body_.reserve(std::min(head_.content_length, kReserveRequest));
  state_ = head_.content_length == 0 ? State::kDone : State::kBody;
}

}  // namespace bulkhead::rpc

#include "runner/rpc/response_parser.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "runner/rpc/http_text.h"

namespace bulkhead::rpc {

namespace {

constexpr size_t kMostHeaders = 128;
constexpr size_t kReserveResponse = 64U << 10U;
constexpr int kMostInterim = 8;

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

size_t ResponseParser::Feed(std::string_view bytes) {
  size_t taken = 0;
  started_ = started_ || !bytes.empty();
  while (taken < bytes.size() && (state_ == State::kHead || state_ == State::kBody)) {
    const std::string_view rest = bytes.substr(taken);
    if (state_ == State::kHead) {
      taken += FeedHead(rest);
    } else if (framing_ == Framing::kLength) {
      taken += FeedLength(rest);
    } else if (framing_ == Framing::kChunked) {
      taken += FeedChunked(rest);
    } else {
      taken += FeedUntilClose(rest);
    }
  }
  return taken;
}

void ResponseParser::End() {
  if (state_ == State::kDone || state_ == State::kFailed) return;
  if (state_ == State::kBody && framing_ == Framing::kUntilClose) {
    state_ = State::kDone;
    return;
  }
  Fail(Peer() + (state_ == State::kHead ? " closed the connection before its reply"
                                        : " closed the connection in the middle of its reply"));
  ended_early_ = true;
}

std::string ResponseParser::Peer() const {
  return "the " + std::string(limits_.peer);
}

void ResponseParser::Fail(std::string reason) {
  state_ = State::kFailed;
  error_ = std::move(reason);
}

void ResponseParser::FailTooLarge() {
  Fail("reply is larger than " + std::to_string(limits_.body_bytes) + " bytes");
}

// --- head -----------------------------------------------------------------------------------------

HeadFormat ResponseParser::Format() const {
  return {"response", limits_.head_bytes, kMostHeaders};
}

size_t ResponseParser::FeedHead(std::string_view bytes) {
  // What is no HTTP at all is told at once, not when the limit is reached.
  constexpr std::string_view kStart = "HTTP/1.";
  const std::string_view start = kStart.substr(std::min(line_.size(), kStart.size()));
  const size_t seen = std::min(bytes.size(), start.size());
  if (bytes.substr(0, seen) != start.substr(0, seen)) {
    Fail(Peer() + "'s answer is no HTTP/1.x response");
    return bytes.size();
  }
  HeadPart part = TakeHead(bytes, Format(), line_);
  if (part.fault.has_value()) {
    Fail(std::move(part.fault->reason));
  } else if (part.complete) {
    ParseHead();
    line_.clear();
  }
  return part.taken;
}

void ResponseParser::ParseHead() {
  HeadLines lines(line_, Format());
  while (const auto line = lines.Next()) {
    if (lines.at_start()) {
      if (!ParseStatusLine(*line)) return;
    } else if (status_ >= 200 && !ParseHeader(*line)) {
      // The fields of an interim response say nothing about the one to come.
      return;
    }
  }
  if (lines.fault().has_value()) return Fail(lines.fault()->reason);
  if (status_ < 200) {
    ++interim_;
  } else {
    ChooseFraming();
  }
}

bool ResponseParser::ParseStatusLine(std::string_view line) {
  // HTTP/1.1 200 OK
  const bool shape = line.size() >= 12 && (line[7] == '0' || line[7] == '1') && line[8] == ' ' && IsDigit(line[9]) &&
                     IsDigit(line[10]) && IsDigit(line[11]) && (line.size() == 12 || line[12] == ' ');
  if (!shape) {
    Fail(Peer() + "'s answer has no valid HTTP/1.x status line");
    return false;
  }
  http_1_0_ = line[7] == '0';
  status_ = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  reason_phrase_ = line.size() > 13 ? std::string(line.substr(13)) : "";
  // 101 would change the protocol.
  if (status_ < 200 && (!limits_.skip_interim || status_ == 101 || interim_ == kMostInterim)) {
    Fail("an interim HTTP response (" + std::to_string(status_) + "), which was not asked for");
    return false;
  }
  return true;
}

bool ResponseParser::ParseHeader(std::string_view line) {
  const auto field = SplitField(line);
  if (!field.has_value()) {
    Fail("a malformed header field in the response");
    return false;
  }
  const auto& [name, value] = *field;
  if (EqualsIgnoringCase(name, "content-length")) {
    if (has_length_) {
      Fail("more than one Content-Length in the response");
      return false;
    }
    const auto length = ReadContentLength(value);
    if (!length.has_value()) {
      Fail("the response's Content-Length is no number");
      return false;
    }
    has_length_ = true;
    left_ = *length;
  } else if (EqualsIgnoringCase(name, "transfer-encoding")) {
    if (has_encoding_ || !EqualsIgnoringCase(value, "chunked")) {
      Fail("a Transfer-Encoding other than chunked in the response");
      return false;
    }
    has_encoding_ = true;
  } else if (EqualsIgnoringCase(name, "connection")) {
    persistence_.Add(value);
  } else if (EqualsIgnoringCase(name, "content-encoding") && !EqualsIgnoringCase(value, "identity")) {
    Fail("a Content-Encoding in the response, which was not asked for");
    return false;
  }
  headers_.emplace_back(name, value);
  return true;
}

const std::string* ResponseParser::Header(std::string_view lower) const {
  const auto found = std::find_if(headers_.begin(), headers_.end(),
                                  [&](const auto& header) { return EqualsIgnoringCase(header.first, lower); });
  return found == headers_.end() ? nullptr : &found->second;
}

std::string ResponseParser::DrainBody() {
  drained_ += body_.size();
  return std::exchange(body_, {});
}

// RFC 9112, section 6.3.
void ResponseParser::ChooseFraming() {
  keep_alive_ = persistence_.KeepsAlive(http_1_0_);
  if (has_encoding_ && (has_length_ || http_1_0_)) {
    return Fail(has_length_ ? "both Transfer-Encoding and Content-Length in the response"
                            : "Transfer-Encoding in an HTTP/1.0 response");
  }
  if (status_ == 204 || status_ == 304 || limits_.no_body) {
    state_ = State::kDone;
    return;
  }
  state_ = State::kBody;
  if (has_encoding_) {
    framing_ = Framing::kChunked;
    return;
  }
  if (!has_length_) {
    framing_ = Framing::kUntilClose;
    keep_alive_ = false;
    return;
  }
  framing_ = Framing::kLength;
  if (left_ > limits_.body_bytes) return FailTooLarge();
  // The peer only claims the length: memory follows what comes.
  body_.reserve(std::min(left_, kReserveResponse));
  if (left_ == 0) state_ = State::kDone;
}

// --- body -----------------------------------------------------------------------------------------

size_t ResponseParser::FeedLength(std::string_view bytes) {
  const size_t take = std::min(left_, bytes.size());
  body_.append(bytes.substr(0, take));
  left_ -= take;
  if (left_ == 0) state_ = State::kDone;
  return take;
}

size_t ResponseParser::FeedUntilClose(std::string_view bytes) {
  if (bytes.size() > limits_.body_bytes - body_.size()) {
    FailTooLarge();
    return bytes.size();
  }
  body_.append(bytes);
  return bytes.size();
}

size_t ResponseParser::FeedChunked(std::string_view bytes) {
  if (chunk_ == Chunk::kData) {
    const size_t take = std::min(left_, bytes.size());
    body_.append(bytes.substr(0, take));
    left_ -= take;
    if (left_ == 0) chunk_ = Chunk::kDataEnd;
    return take;
  }
  bool complete = false;
  const size_t taken = TakeLine(bytes, complete);
  if (!complete || state_ == State::kFailed) return taken;
  const std::string line = std::exchange(line_, {});
  switch (chunk_) {
    case Chunk::kSize: ParseChunkSize(line); break;
    case Chunk::kDataEnd:
      if (!line.empty()) Fail("a chunk of the response is longer than its size says");
      chunk_ = Chunk::kSize;
      break;
    case Chunk::kTrailer:
      if (line.empty()) state_ = State::kDone;
      break;
    case Chunk::kData: break;
  }
  return taken;
}

// Collects one line in line_, without its CRLF.
size_t ResponseParser::TakeLine(std::string_view bytes, bool& complete) {
  size_t taken = 0;
  while (taken < bytes.size()) {
    const char c = bytes[taken++];
    if (++overhead_ > limits_.head_bytes + drained_ + body_.size()) {
      Fail("more chunk lines than data in the response");
      return bytes.size();
    }
    const bool after_cr = !line_.empty() && line_.back() == '\r';
    if (after_cr && c == '\n') {
      line_.pop_back();
      complete = true;
      return taken;
    }
    if (after_cr || (c != '\r' && !IsTextChar(c)) || line_.size() >= limits_.head_bytes) {
      Fail("a malformed chunk line in the response");
      return bytes.size();
    }
    line_ += c;
  }
  return taken;
}

void ResponseParser::ParseChunkSize(std::string_view line) {
  constexpr size_t kMostDigits = 8;
  size_t size = 0;
  size_t digits = 0;
  for (; digits < line.size() && HexValue(line[digits]) >= 0; ++digits) {
    if (digits == kMostDigits) return FailTooLarge();
    size = size * 16 + static_cast<size_t>(HexValue(line[digits]));
  }
  if (digits == 0 || (digits < line.size() && line[digits] != ';'))
    return Fail("a malformed chunk size in the response");
  if (size > limits_.body_bytes - body_.size()) return FailTooLarge();
  left_ = size;
  chunk_ = size == 0 ? Chunk::kTrailer : Chunk::kData;
}

}  // namespace bulkhead::rpc

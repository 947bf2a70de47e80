#include "runner/rpc/request_parser.h"

#include <gtest/gtest.h>

#include <vector>

namespace bulkhead::rpc {
namespace {

using State = RequestParser::State;

constexpr RequestLimits kLimits = {.head_bytes = 1024, .target_bytes = 64, .headers = 8, .body_bytes = 64};

bool Going(const RequestParser& parser) {
  return parser.state() == State::kHead || parser.state() == State::kBody;
}

// Fed in pieces of `piece` bytes; what is decided must not depend on it.
RequestParser Parse(std::string_view bytes, size_t piece, size_t* taken_of_all = nullptr) {
  RequestParser parser(kLimits);
  size_t at = 0;
  while (at < bytes.size() && Going(parser)) at += parser.Feed(bytes.substr(at, piece));
  if (taken_of_all != nullptr) *taken_of_all = at;
  return parser;
}

TEST(RequestParser, TakesWhatArgosClientsSend) {
  struct Case {
    std::string bytes;
    std::string method, target, authorization, body;
    bool keep_alive;
  };
  const std::vector<Case> cases = {
      {"POST /api/v1/template.execute HTTP/1.1\r\nHost: localhost:4355\r\nUser-Agent: Go-http-client/1.1\r\n"
       "Content-Length: 2\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nAccept-Encoding: "
       "gzip\r\n\r\n{}",
       "POST", "/api/v1/template.execute", "Bearer t", "{}", true},
      {"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET", "/readyz", "", "", false},
      {"GET /healthz HTTP/1.0\r\n\r\n", "GET", "/healthz", "", "", false},
      {"POST /x HTTP/1.0\r\nconnection: Keep-Alive\r\ncontent-length:1\r\n\r\n1", "POST", "/x", "", "1", true},
      {"POST /x HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n", "POST", "/x", "", "", true},
  };
  for (const Case& one : cases) {
    for (const size_t piece : {1UL, 2UL, 7UL, 4096UL}) {
      RequestParser parser = Parse(one.bytes, piece);
      ASSERT_EQ(parser.state(), State::kDone) << one.bytes << " in pieces of " << piece << ": " << parser.error();
      EXPECT_EQ(parser.head().method, one.method);
      EXPECT_EQ(parser.head().target, one.target);
      EXPECT_EQ(parser.head().authorization, one.authorization);
      EXPECT_EQ(parser.head().keep_alive, one.keep_alive) << one.bytes;
      EXPECT_EQ(parser.TakeBody(), one.body);
    }
  }
}

TEST(RequestParser, RefusesEachWithItsStatus) {
  const std::string post = "POST /x HTTP/1.1\r\nHost: x\r\n";
  struct Case {
    std::string bytes;
    int status;
  };
  const std::vector<Case> cases = {
      {"POST /x HTTP/2\r\n\r\n", 400},
      {"POST /x HTTP/2.0\r\n\r\n", 505},
      {"POST /x HTTP/1.2\r\n\r\n", 505},
      {"POST /x\r\n\r\n", 400},
      {"POST  /x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"POST /x y HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"P@ST /x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"POST x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"POST http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"POST /x?y=z HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"POST /%2e HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"POST /" + std::string(64, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
      {"POST /x HTTP/1.1\r\n\r\n", 400},                             // no Host
      {post + "Host: y\r\n\r\n", 400},                               // two of them
      {post + "Authorization: a\r\nAuthorization: b\r\n\r\n", 400},  // whose is it
      {post + "Content-Type: a\r\ncontent-type: b\r\n\r\n", 400},
      {post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n1", 400},
      {post + "Content-Length: 1, 1\r\n\r\n1", 400},
      {post + "Content-Length: +1\r\n\r\n1", 400},
      {post + "Content-Length: 0x1\r\n\r\n1", 400},
      {post + "Content-Length: \r\n\r\n", 400},
      {post + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {post + "Content-Length: 65\r\n\r\n", 413},
      {post + "Content-Length: 1073741824\r\n\r\n", 413},
      {post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
      {post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
      {post + "Content-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
      {post + "transfer-encoding: identity\r\n\r\n", 411},
      {post + "Content-Length : 1\r\n\r\n1", 400},
      {post + "X: a\r\n b\r\n\r\n", 400},  // folded
      {post + ": a\r\n\r\n", 400},
      {post + "no colon\r\n\r\n", 400},
      {post + "X: a\nY: b\r\n\r\n", 400},  // a bare line feed
      {post + "X: a\rY: b\r\n\r\n", 400},  // a bare carriage return
      {post + std::string("X: a\0b\r\n\r\n", 10), 400},
      {post + "X: \x1b[31m\r\n\r\n", 400},
      {"\r\nPOST /x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {post + "Expect: tea\r\n\r\n", 417},
      {post + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\n1", 415},
      {post + "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\nG: 1\r\nH: 1\r\n\r\n", 431},
      {post + "X: " + std::string(2000, 'y') + "\r\n\r\n", 431},
      {std::string(2000, 'x'), 431},
  };
  for (const Case& one : cases) {
    for (const size_t piece : {1UL, 5UL, 4096UL}) {
      const RequestParser parser = Parse(one.bytes, piece);
      ASSERT_EQ(parser.state(), State::kFailed) << one.bytes;
      EXPECT_EQ(parser.status(), one.status) << one.bytes;
      EXPECT_FALSE(parser.error().empty());
    }
  }
}

TEST(RequestParser, LeavesTheNextRequestAlone) {
  const std::string first = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
  for (const size_t piece : {1UL, 3UL, 4096UL}) {
    size_t taken = 0;
    const RequestParser parser = Parse(first + "GET /b HTTP/1.1\r\nHost: x\r\n\r\n", piece, &taken);
    EXPECT_EQ(parser.state(), State::kDone);
    EXPECT_EQ(taken, first.size());
  }
}

TEST(RequestParser, StopsBetweenHeadAndBodySoThatTheHeadCanBeJudged) {
  RequestParser parser(kLimits);
  const std::string head = "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(parser.Feed(head + "{}"), head.size());
  EXPECT_EQ(parser.state(), State::kBody);
  EXPECT_TRUE(parser.head().expects_continue);
  EXPECT_EQ(parser.Feed("{}x"), 2U);
  EXPECT_EQ(parser.state(), State::kDone);
}

}  // namespace
}  // namespace bulkhead::rpc

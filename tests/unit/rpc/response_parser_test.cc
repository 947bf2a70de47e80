#include "runner/rpc/response_parser.h"

#include <gtest/gtest.h>

namespace bulkhead::rpc {
namespace {

using ResponseState = ResponseParser::State;

// Fed in pieces of `piece` bytes; the state must not depend on it.
ResponseParser Parse(std::string_view bytes, size_t piece, bool end) {
  ResponseParser parser({.head_bytes = 1024, .body_bytes = 64});
  while (!bytes.empty() && (parser.state() == ResponseState::kHead || parser.state() == ResponseState::kBody)) {
    const std::string_view part = bytes.substr(0, piece);
    const size_t taken = parser.Feed(part);
    bytes.remove_prefix(taken);
    if (taken < part.size()) break;
  }
  if (end && (parser.state() == ResponseState::kHead || parser.state() == ResponseState::kBody)) parser.End();
  return parser;
}

TEST(ResponseParser, TakesWhatServersSend) {
  struct Case {
    std::string bytes;
    int status;
    std::string body;
    bool keep_alive;
  };
  const std::vector<Case> cases = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 200, "{}", false},
      {"HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6\r\n\r\n{}", 200, "{}", false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}", 200, "{}", true},
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, "", true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, "{}", true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nTrailer: x\r\n\r\n", 200, "{}", true},
      {"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n{}", 200, "{}", true},
      {"HTTP/1.1 200 OK\r\n\r\n{}", 200, "{}", false},
  };
  for (const Case& one : cases) {
    for (const size_t piece : {1UL, 2UL, 7UL, 4096UL}) {
      ResponseParser parser = Parse(one.bytes, piece, true);
      ASSERT_EQ(parser.state(), ResponseState::kDone)
          << one.bytes << " in pieces of " << piece << ": " << parser.error();
      EXPECT_EQ(parser.status(), one.status);
      EXPECT_EQ(parser.TakeBody(), one.body);
      EXPECT_EQ(parser.keep_alive(), one.keep_alive) << one.bytes;
    }
  }
}

TEST(ResponseParser, InterimResponsesAreSkippedOnlyWhenAskedFor) {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nLink: x\r\n\r\n";
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const auto parse = [](std::string_view bytes, size_t piece, bool skip) {
    ResponseParser parser({.head_bytes = 4096, .body_bytes = 64, .skip_interim = skip});
    while (!bytes.empty()) {
      parser.Feed(bytes.substr(0, piece));
      bytes.remove_prefix(std::min(piece, bytes.size()));
    }
    return parser;
  };
  for (const size_t piece : {1UL, 7UL, 4096UL}) {
    ResponseParser parser = parse(interim + interim + last, piece, true);
    ASSERT_EQ(parser.state(), ResponseState::kDone) << parser.error();
    EXPECT_EQ(parser.status(), 200);
    EXPECT_EQ(parser.Header("link"), nullptr);
    EXPECT_EQ(parser.TakeBody(), "ok");
    EXPECT_EQ(parse(interim + last, piece, false).state(), ResponseState::kFailed);
    EXPECT_EQ(parse("HTTP/1.1 101 Switching\r\n\r\n" + last, piece, true).state(), ResponseState::kFailed);
    std::string many;
    for (int i = 0; i < 9; ++i) many += interim;
    EXPECT_EQ(parse(many + last, piece, true).state(), ResponseState::kFailed);
  }
}

TEST(ResponseParser, TheAnswerToHeadEndsWithItsHead) {
  ResponseParser parser({.no_body = true});
  parser.Feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  EXPECT_EQ(parser.state(), ResponseState::kDone);
  EXPECT_EQ(parser.TakeBody(), "");
}

TEST(ResponseParser, RefusesWhatTwoReadersCouldSeeDifferently) {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::vector<std::string> cases = {
      "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "http/1.1 200 OK\r\n\r\n",
      " HTTP/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
      head + "Content-Length: 2\n\r\n{}",
      head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
      head + "Content-Length: 2, 2\r\n\r\n{}",
      head + "Content-Length: +2\r\n\r\n{}",
      head + "Content-Length: -2\r\n\r\n{}",
      head + "Content-Length: 0x2\r\n\r\n{}",
      head + "Content-Length: 99999999999999999999\r\n\r\n{}",
      head + "Content-Length: 65\r\n\r\n",
      head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      head + "Transfer-Encoding: identity\r\n\r\n{}",
      head + "Content-Length : 2\r\n\r\n{}",
      head + " Content-Length: 2\r\n\r\n{}",
      head + "X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
      head + "X: a\rb\r\nContent-Length: 2\r\n\r\n{}",
      head + std::string("X: a\0b\r\n", 8) + "Content-Length: 2\r\n\r\n{}",
      head + "NoColon\r\n\r\n",
      head + "X: " + std::string(2000, 'x') + "\r\n\r\n",
      head + "Transfer-Encoding: chunked\r\n\r\n g\r\n",
      head + "Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
      head + "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
      head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
      head + "Transfer-Encoding: chunked\r\n\r\n41\r\n",
      head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
      head + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(2000, 'x') + "\r\n",
      head + "\r\n" + std::string(65, 'x'),
  };
  for (const std::string& bytes : cases) {
    for (const size_t piece : {1UL, 5UL, 4096UL}) {
      const ResponseParser parser = Parse(bytes, piece, false);
      EXPECT_EQ(parser.state(), ResponseState::kFailed) << bytes.substr(0, 120) << " in pieces of " << piece;
      EXPECT_FALSE(parser.error().empty());
    }
  }
}

TEST(ResponseParser, AnEarlyEndIsToldFromAnEnd) {
  for (const char* const bytes : {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"}) {
    const ResponseParser parser = Parse(bytes, 4096, true);
    EXPECT_EQ(parser.state(), ResponseState::kFailed) << bytes;
    EXPECT_TRUE(parser.ended_early()) << bytes;
  }
}

TEST(ResponseParser, WhatComesAfterIsLeft) {
  ResponseParser parser({});
  const std::string bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n";
  EXPECT_EQ(parser.Feed(bytes), bytes.find("{}") + 2);
  EXPECT_EQ(parser.state(), ResponseState::kDone);
}

}  // namespace
}  // namespace bulkhead::rpc

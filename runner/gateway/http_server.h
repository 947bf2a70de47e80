// HttpServer: HTTP/1.0 and 1.1, in plain or over mutual TLS, for callers that may be hostile.
//
// Why one of our own and not cpp-httplib 0.11 (Debian 12's): there a connection holds a thread of the pool from
// accept to close, each read renews its timeout, so a few hundred slow clients hold up everybody for as
// long as they like; its parser takes lines that end in a bare LF and bodies with both a length and a
// transfer coding; and who calls is asked only after the whole body was read. Here:
// - one thread reads and writes all connections without blocking; a thread of the pool is taken only by a
//   request that is whole and was admitted;
// - each stage (handshake, head, body, answer, sending) has a deadline of its own that no byte renews;
// - the head is judged before the body is read, so that a stranger costs at most a head;
// - connections, requests at once, and the bytes of their bodies are bounded. When there are too many
//   connections, the one goes that has waited longest without an admitted request.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "certs/server_context.h"
#include "runner/base/clock.h"
#include "runner/base/metrics.h"
#include "runner/base/result.h"
#include "runner/base/unique_fd.h"
#include "runner/rpc/request_parser.h"

namespace bulkhead::gateway {

// Who is at the other end.
struct Peer {
  std::string address;    // "127.0.0.1:51234"
  bool loopback = false;  // as the socket says
  std::string uri;        // TLS: the verified URI of the client; empty in plain HTTP
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string_view content_type = "application/json";
  std::string_view allow = {};  // 405: the method that there is
  int retry_after = 0;          // seconds; 0: not said
};

// The way back of one request. Thread-safe; may outlive the server.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  // Once. What comes too late is dropped.
  virtual void Send(HttpResponse response) = 0;
  // Whether nobody waits for the answer any more: the client closed its side, or was told to come again.
  virtual bool Abandoned() const = 0;
};

struct HttpRequest {
  rpc::RequestHead head;
  std::string body;
  Peer peer;
  std::shared_ptr<HttpReply> reply;
};

// What a server serves. Outlives it.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // On the server's one thread, when the head was read and nothing of the body: an answer refuses the
  // request. Must be quick.
  virtual std::optional<HttpResponse> Admit(const rpc::RequestHead& head, const Peer& peer) = 0;
  // On a thread of the pool; may block. Sends one answer, then or later.
  virtual void Handle(HttpRequest request) = 0;
};

struct ServerLimits {
  rpc::RequestLimits request;
  size_t connections = 256;
  size_t requests = 128;           // handled at once, each by a thread
  size_t body_bytes = 64U << 20U;  // of all requests together
  size_t requests_per_connection = 1000;
  std::chrono::nanoseconds handshake = std::chrono::seconds(5);
  std::chrono::nanoseconds head = std::chrono::seconds(5);
  std::chrono::nanoseconds body = std::chrono::seconds(15);
  std::chrono::nanoseconds idle = std::chrono::seconds(60);  // between two requests
  // Argo's agent gives up after 30 s; before that it is told to come again (503).
  std::chrono::nanoseconds answer = std::chrono::seconds(28);
  std::chrono::nanoseconds send = std::chrono::seconds(10);
};

struct ServerOptions {
  std::string name;  // in metrics: "rpc", "admin"
  ServerLimits limits;
  // Asked at each connection, so that renewed certificates count at once; null: plain HTTP.
  std::function<std::optional<certs::ServerContext>()> tls;
};

class HttpServer {
 public:
  // Takes listening, non-blocking sockets. `handler` and `metrics` outlive the server. Counts
  // bulkhead_http_connections_total and bulkhead_http_refused_total{server,reason}.
  static Result<std::unique_ptr<HttpServer>> Start(std::vector<UniqueFd> listeners, ServerOptions options,
                                                   HttpHandler& handler, Metrics& metrics);
  ~HttpServer();  // breaks off what is still open, then waits for the handler
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // No further connection or request is taken; those under way are answered. True once all are, false at
  // the deadline.
  bool Drain(SteadyTime deadline);

 private:
  class Loop;
  explicit HttpServer(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

// A refusal: the sentence as plain text, since Argo puts "<status line>: <body>" into the node's message.
HttpResponse ErrorResponse(int status, std::string_view sentence);

}  // namespace bulkhead::gateway

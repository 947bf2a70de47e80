// PluginClient: one plugin, called over a stream (mutual TLS, or plain on loopback), its answers classified.
//
// Everything a plugin sends is hostile: status line, headers, chunk framing and body are read with
// limits and the strictness of RFC 9112; a reply that two readers could see differently (both
// Content-Length and Transfer-Encoding, two lengths, bare CR or LF, obs-fold) is fatal. Bytes that
// arrive after a reply on a kept-alive connection are recorded as hostile and the connection dropped.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/base/secret.h"
#include "runner/rpc/stream.h"

namespace bulkhead::rpc {

// What a call came to. "Transient" is retried by CallWithRetries, nothing else is.
enum class Outcome {
  kReply,         // 200 with a body
  kNotSupported,  // 404: this method of this plugin is never called again
  kTransient,     // 503, refused, reset, closed early, timed out
  kFatal,         // any other status, or an HTTP message that cannot be trusted
};
std::string_view OutcomeName(Outcome outcome);

struct CallResult {
  Outcome outcome = Outcome::kFatal;
  int http_status = 0;  // 0 when no status line was had
  std::string body;     // kReply: the body, at most max_reply_bytes. Hostile.
  std::string reason;   // not kReply: a sentence; holds plugin text (at most 512 bytes, hostile)
  int attempts = 0;
  bool early_bytes = false;  // the plugin had sent bytes nobody asked for on a kept connection
  std::chrono::nanoseconds elapsed{0};
};

struct ClientOptions {
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);  // one attempt, connect to last byte
  size_t max_reply_bytes = 1U << 20U;
  size_t max_header_bytes = 16U << 10U;
  size_t max_idle_connections = 16;
  // Argo's backoff: 5 attempts, 1 s, factor 2, jitter 0.2 (workflow/util/plugin/plugin.go).
  int max_attempts = 5;
  std::chrono::nanoseconds backoff = std::chrono::seconds(1);
  double backoff_factor = 2;
  double backoff_jitter = 0.2;
};

// The controller's hooks are asked once.
enum class Retry { kAsOptions, kNever };

// Thread-safe: many workers call one client at once.
class PluginClient {
 public:
  // A new connection, its handshake done. An error kPermissionDenied (the peer is not who it must be) is fatal.
  using Connector = std::function<Result<std::unique_ptr<Stream>>(SteadyTime deadline)>;
  // Sleeps up to the time given; returns false when the program is being stopped (the call then ends
  // as transient with what it has).
  using Sleeper = std::function<bool(std::chrono::nanoseconds)>;

  PluginClient(std::string name, Connector connector, Secret token, ClientOptions options);
  ~PluginClient();

  // One RPC, e.g. method "template.execute", with retries unless `retry` says otherwise. `deadline` bounds the
  // whole. `extra_headers` are complete lines ending in CRLF, or empty.
  CallResult Call(std::string_view method, std::string_view body, std::chrono::steady_clock::time_point deadline,
                  const Sleeper& sleeper, std::string_view extra_headers = {}, Retry retry = Retry::kAsOptions);

  // One attempt, no retry and no memory of 404.
  CallResult Attempt(std::string_view method, std::string_view body, std::chrono::steady_clock::time_point deadline,
                     std::string_view extra_headers = {});

  // Whether a 404 was answered to this method before.
  bool KnownUnsupported(std::string_view method) const;

  // Closes kept connections (the plugin was restarted).
  void DropConnections();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bulkhead::rpc

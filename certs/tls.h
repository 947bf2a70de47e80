// TLS contexts and streams. There is one way to make one that does not verify its peer, and its name says so.
// Between the agent and its plugins: TLS 1.3, the chain against the identity's authority, the extended key usage, and
// exactly one URI SAN equal to the one expected. To an ordinary HTTPS server: TLS 1.2 or later, the chain against the
// authorities given, and the server's name. No session tickets, no resumption, no renegotiation, no ALPN.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "certs/identity.h"
#include "runner/base/result.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::certs {

// Initialises OpenSSL without reading any file or configuration. Optional, but needed before a seccomp
// filter that allows no file access. Idempotent and thread-safe.
void InitTlsLibrary();

// What an ordinary HTTPS server is verified against, and who we are to it. PEM.
struct WebTrust {
  std::string authorities;    // certificates of authorities; may be empty when system_roots is set
  bool system_roots = false;  // the machine's authorities (OpenSSL's default folder and file) count too
  std::string certificate;    // ours, followed by its chain; empty: none
  Secret private_key;         // of `certificate`
};

// Thread-safe; streams made from it keep it alive.
class TlsContext {
 public:
  static Result<TlsContext> ForClient(const Identity& self, std::string_view expected_peer_uri);
  static Result<TlsContext> ForServer(const Identity& self, std::string_view expected_peer_uri);
  // `server`: the DNS name or the IP address that the server's certificate must be for. kInvalidInput when
  // `trust` holds what cannot be read, or no authority at all.
  static Result<TlsContext> ForWebServer(const WebTrust& trust, std::string_view server);
  // A plugin elsewhere: TLS 1.3, both sides verified, and the server's certificate has `expected_uri` as its only URI,
  // whatever its address. `trust` without system roots. kInvalidInput as above.
  static Result<TlsContext> ForRemotePlugin(const WebTrust& trust, std::string_view expected_uri);
  // Whoever answers is taken for `server`: encrypted, and nothing else. Only for the `insecureSkipVerify` of an HTTP
  // template, where an egress policy allows it.
  static Result<TlsContext> ForUnverifiedWebServer(std::string_view server);
  TlsContext(const TlsContext&) = default;
  TlsContext& operator=(const TlsContext&) = default;
  TlsContext(TlsContext&&) = default;
  TlsContext& operator=(TlsContext&&) = default;
  ~TlsContext();

  struct State;
  const std::shared_ptr<const State>& state() const { return state_; }

 private:
  explicit TlsContext(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// A blocking TLS stream with a deadline on each call, for the client side. Not thread-safe. The process must
// ignore SIGPIPE: OpenSSL writes with write(2).
class TlsStream {
 public:
  // Takes the descriptor of a connected stream socket and performs the handshake and the identity
  // check; nothing of the application was sent when this fails. kDeadlineExceeded, kUnavailable (the
  // peer closed or reset), kPermissionDenied (the peer's certificate is not the expected one). The waits on
  // the socket can be cut short by shutdown(2) on its descriptor from another thread.
  static Result<TlsStream> Connect(const TlsContext& context, UniqueFd fd,
                                   std::chrono::steady_clock::time_point deadline);
  TlsStream(TlsStream&&) noexcept;
  TlsStream& operator=(TlsStream&&) noexcept;
  ~TlsStream();

  // Sends all of `bytes`.
  Status Write(std::string_view bytes, std::chrono::steady_clock::time_point deadline);
  // At least one byte, at most `size`; 0 at the peer's close_notify. An end of file without
  // close_notify is kUnavailable: truncation must be told from an end (RFC 8446, section 6.1).
  Result<size_t> Read(char* buffer, size_t size, std::chrono::steady_clock::time_point deadline);
  // Whether bytes (or an end) of the peer wait to be read now, without blocking.
  bool HasPending();
  int fd() const;

 private:
  struct State;
  explicit TlsStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bulkhead::certs

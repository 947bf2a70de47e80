// The server side of mutual TLS with certificates from files (cert-manager, SPIRE): TLS 1.3 only, every
// client verified: the chain up to the given authorities, an extended key usage of clientAuth, and
// exactly one URI SAN, which must be one of those expected. No session tickets, no resumption, no
// renegotiation, no ALPN. OpenSSL types do not appear in this header.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::certs {

// PEM files. They may be replaced while the program runs; who wants the new ones loads a new context.
struct TlsFiles {
  std::string certificate;  // the leaf first, then its intermediates
  std::string key;          // unencrypted
  std::string authorities;  // what clients' chains must lead to
};

// Immutable and thread-safe; streams made from it keep it alive.
class ServerContext {
 public:
  // kInvalidInput naming the file, or when no client URI is expected.
  static Result<ServerContext> Load(const TlsFiles& files, std::vector<std::string> client_uris);
  ServerContext(const ServerContext&) = default;
  ServerContext& operator=(const ServerContext&) = default;
  ServerContext(ServerContext&&) = default;
  ServerContext& operator=(ServerContext&&) = default;
  ~ServerContext();

  struct State;
  const std::shared_ptr<const State>& state() const { return state_; }

 private:
  explicit ServerContext(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// One connection on a non-blocking socket, for an event loop. Not thread-safe. The process must ignore
// SIGPIPE.
class ServerStream {
 public:
  enum class Io {
    kDone,
    kWantRead,   // call again when the socket is readable
    kWantWrite,  // call again when it is writable
    kEnd,        // Read: the client's close_notify
    kFailed,     // the stream is over: a broken handshake, another peer, an end without close_notify
  };

  // Borrows `fd`, a connected non-blocking socket, which must outlive the stream.
  static Result<ServerStream> Create(const ServerContext& context, int fd);
  ServerStream(ServerStream&&) noexcept;
  ServerStream& operator=(ServerStream&&) noexcept;
  ~ServerStream();

  // kDone once the client has proved who it is. Nothing can be read or written before.
  Io Handshake();
  // kDone: `size` bytes at most were read, and `got` says how many.
  Io Read(char* buffer, size_t size, size_t& got);
  // kDone: the first `put` bytes were taken.
  Io Write(std::string_view bytes, size_t& put);
  // Bytes that were read from the socket already and wait here: it would not become readable for them.
  bool HasPending() const;
  // Tells the client that nothing more comes. Best effort.
  void Shutdown();

  // After the handshake: the client's URI.
  const std::string& peer_uri() const;

 private:
  struct State;
  explicit ServerStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bulkhead::certs

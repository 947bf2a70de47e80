// Relay: mutual TLS on one side, the plugin's plain TCP port on the other; bytes are passed as they are.
//
// The plugin is connected to only after the client's certificate was verified, and the end of a plugin's
// stream becomes a close_notify, so that a reply that was cut short can be told from one that ended.
// Single-threaded, edge-triggered; memory is bounded for each connection and by kMostConnections.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "certs/tls.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::sandbox::shim {

inline constexpr size_t kMostConnections = 512;

class Relay {
 public:
  // Registers its descriptors with `epoll`, with an even token (a pointer) for the client's side and an odd
  // one for the plugin's.
  Relay(int epoll, uint16_t port);
  ~Relay();

  // Before it no connection is accepted; a later one is for connections from then on.
  void SetContext(certs::TlsContext context) { context_ = std::make_unique<certs::TlsContext>(std::move(context)); }
  // Takes a connected stream socket. When there are too many, it takes the place of one that has not proved who it
  // is, or is closed at once.
  void Add(UniqueFd client);
  // An event whose data is `token`.
  void OnEvent(uint64_t token);
  // Frees what ended during the events of one round.
  void Sweep();

 private:
  struct Connection;
  void Pump(Connection& connection, bool plugin_side);
  void End(Connection& connection);
  bool MakeRoom();
  bool Handshake(Connection& connection);
  bool ConnectPlugin(Connection& connection);
  bool ToPlugin(Connection& connection);
  bool ToClient(Connection& connection);
  bool WatchClient(Connection& connection) const;
  bool WatchPlugin(Connection& connection) const;
  bool Watch(int fd, uint32_t events, uint64_t token, uint32_t& watched) const;

  const int epoll_;
  const uint16_t port_;
  std::unique_ptr<certs::TlsContext> context_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool some_ended_ = false;
};

}  // namespace bulkhead::sandbox::shim

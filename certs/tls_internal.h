// The OpenSSL side of TlsContext, for the one other user of it: the shim's relay, whose event loop
// drives the record layer itself.
#pragma once

#include "certs/openssl_ptr.h"
#include "certs/tls.h"

namespace bulkhead::certs {

struct TlsContext::State {
  SslCtxPtr context;
  std::string expected_peer_uri;  // empty for a web server
  std::string web_server;         // its DNS name, for SNI; empty for an IP address
  bool server = false;
};

// A connection in its initial state, without a descriptor. `state` must outlive it.
SslPtr NewConnection(const TlsContext::State& state);

}  // namespace bulkhead::certs

// The OpenSSL side of TlsContext, for this module's files and for the shim's relay, whose event loop drives the record
// layer itself.
#pragma once

#include "certs/openssl_ptr.h"
#include "certs/tls.h"

namespace bulkhead::certs {

// Of TLS 1.3, which is all that is spoken.
inline constexpr char kCipherSuites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

struct TlsContext::State {
  SslCtxPtr context;
  std::string expected_peer_uri;  // empty for a web server
  std::string web_server;         // its DNS name, for SNI; empty for an IP address
  bool server = false;
};

// The one URI SAN of a certificate; empty when it has none or several. Other kinds of names may stand beside it.
std::string OneUri(X509* certificate);

// The body of OpenSSL's verify callback, once for every kind of peer: chains as OpenSSL judges them, and of the leaf
// what `accept` says.
int VerifyLeaf(int chain_ok, X509_STORE_CTX* store, bool (*accept)(X509* leaf, const TlsContext::State& state));

// A connection in its initial state, without a descriptor. `state` must outlive it.
SslPtr NewConnection(const TlsContext::State& state);

}  // namespace bulkhead::certs

// The contexts whose certificates are PEM, apart from the rest: the shim links that without any reader of PEM.
#include <arpa/inet.h>
#include <openssl/pem.h>

#include <algorithm>
#include <vector>

#include "certs/tls.h"
#include "certs/tls_internal.h"

namespace bulkhead::certs {

namespace {

using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free>>;

BioPtr Reading(std::string_view pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<size_t>(pem.size(), 1U << 30U))));
}

Error BadPem(std::string_view what) {
  ERR_clear_error();
  return Error(Code::kInvalidInput, std::string(what) + " cannot be read as PEM");
}

// Every certificate of `pem`, in order; text between them is skipped, as OpenSSL's own tools do.
Result<std::vector<CertPtr>> CertificatesFromPem(std::string_view pem, std::string_view what) {
  std::vector<CertPtr> certificates;
  const BioPtr bio = Reading(pem);
  while (bio != nullptr) {
    CertPtr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    certificates.push_back(std::move(certificate));
  }
  const unsigned long code = ERR_peek_last_error();
  if (certificates.empty() || ERR_GET_REASON(code) != PEM_R_NO_START_LINE) return BadPem(what);
  ERR_clear_error();
  return certificates;
}

Status UseOwnCertificate(SSL_CTX* context, const WebTrust& trust) {
  if (trust.certificate.empty()) return OkStatus();
  BULKHEAD_ASSIGN(const std::vector<CertPtr> chain, CertificatesFromPem(trust.certificate, "the client certificate"));
  const BioPtr bio = Reading(trust.private_key.Reveal());
  // Without a callback OpenSSL would ask for a passphrase at the terminal.
  const auto no_passphrase = [](char*, int, int, void*) { return 0; };
  const KeyPtr key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) return BadPem("the client key");
  bool good = SSL_CTX_use_certificate(context, chain.front().get()) == 1 &&
              SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1;
  for (size_t i = 1; i < chain.size(); ++i) good = good && SSL_CTX_add1_chain_cert(context, chain[i].get()) == 1;
  if (!good) return Error(Code::kInvalidInput, OpenSslError("the client certificate and its key").message());
  return OkStatus();
}

bool IsIpAddress(const std::string& host) {
  in6_addr ignored = {};
  return ::inet_pton(AF_INET, host.c_str(), &ignored) == 1 || ::inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

// That the server is who it must be, whatever its address: exactly that URI, and for servers.
int VerifyPlugin(int chain_ok, X509_STORE_CTX* store) {
  return VerifyLeaf(chain_ok, store, [](X509* leaf, const TlsContext::State& state) {
    // OpenSSL takes a certificate without an extended key usage for every purpose.
    const uint32_t usage = X509_get_extended_key_usage(leaf);
    return usage != UINT32_MAX && (usage & XKU_SSL_SERVER) != 0 && OneUri(leaf) == state.expected_peer_uri;
  });
}

Status TrustAuthorities(SSL_CTX* context, std::string_view pem) {
  BULKHEAD_ASSIGN(const std::vector<CertPtr> authorities, CertificatesFromPem(pem, "the CA certificates"));
  for (const CertPtr& authority : authorities) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1)
      return OpenSslError("CA certificate");
  }
  return OkStatus();
}

Status SetServerName(SSL_CTX* context, TlsContext::State& state, const std::string& server) {
  X509_VERIFY_PARAM* const param = SSL_CTX_get0_param(context);
  if (IsIpAddress(server)) {
    if (X509_VERIFY_PARAM_set1_ip_asc(param, server.c_str()) != 1) return OpenSslError("server name");
    return OkStatus();
  }
  state.web_server = server;
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (server.empty() || X509_VERIFY_PARAM_set1_host(param, server.data(), server.size()) != 1)
    return Error(Code::kInvalidInput, "no server name to verify: a TLS context without one is not made");
  return OkStatus();
}

Result<SslCtxPtr> NewWebContext() {
  InitTlsLibrary();
  SslCtxPtr owned(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = owned.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
    return OpenSslError("TLS context");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  return owned;
}

}  // namespace

Result<TlsContext> TlsContext::ForWebServer(const WebTrust& trust, std::string_view server) {
  if (trust.authorities.empty() && !trust.system_roots)
    return Error(Code::kInvalidInput, "no authority is trusted: give the server's CA certificates");
  auto state = std::make_shared<State>();
  BULKHEAD_ASSIGN(state->context, NewWebContext());
  SSL_CTX* const context = state->context.get();
  if (trust.system_roots && SSL_CTX_set_default_verify_paths(context) != 1) return OpenSslError("system roots");
  if (!trust.authorities.empty()) BULKHEAD_TRY(TrustAuthorities(context, trust.authorities));
  BULKHEAD_TRY(UseOwnCertificate(context, trust));
  BULKHEAD_TRY(SetServerName(context, *state, std::string(server)));
  return TlsContext(std::move(state));
}

Result<TlsContext> TlsContext::ForRemotePlugin(const WebTrust& trust, std::string_view expected_uri) {
  if (trust.authorities.empty() || trust.certificate.empty() || expected_uri.empty())
    return Error(Code::kInvalidInput, "mutual TLS needs a certificate, the authorities and the plugin's URI");
  auto state = std::make_shared<State>();
  BULKHEAD_ASSIGN(state->context, NewWebContext());
  state->expected_peer_uri = std::string(expected_uri);
  SSL_CTX* const context = state->context.get();
  if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) return OpenSslError("TLS context");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, VerifyPlugin);
  BULKHEAD_TRY(TrustAuthorities(context, trust.authorities));
  BULKHEAD_TRY(UseOwnCertificate(context, trust));
  return TlsContext(std::move(state));
}

Result<TlsContext> TlsContext::ForUnverifiedWebServer(std::string_view server) {
  auto state = std::make_shared<State>();
  BULKHEAD_ASSIGN(state->context, NewWebContext());
  BULKHEAD_TRY(SetServerName(state->context.get(), *state, std::string(server)));
  // With this in place of the check, later errors of a stream are not taken for errors of the certificate.
  SSL_CTX_set_cert_verify_callback(
      state->context.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  return TlsContext(std::move(state));
}

}  // namespace bulkhead::certs

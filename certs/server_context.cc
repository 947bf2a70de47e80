#include "certs/server_context.h"

#include <algorithm>
#include <cerrno>

#include "certs/openssl_ptr.h"
#include "certs/tls.h"
#include "certs/tls_internal.h"

namespace bulkhead::certs {

namespace {

constexpr int kMostIntermediates = 4;

}  // namespace

// cert-manager adds names of other kinds, and nothing here reads them.
std::string OneUri(X509* certificate) {
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return "";
  std::string uri;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    if (!uri.empty()) return "";
    const ASN1_IA5STRING* const text = name->d.uniformResourceIdentifier;
    uri.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
               static_cast<size_t>(ASN1_STRING_length(text)));
  }
  return uri;
}

struct ServerContext::State {
  SslCtxPtr context;
  std::vector<std::string> client_uris;
};

struct ServerStream::State {
  std::shared_ptr<const ServerContext::State> context;
  SslPtr ssl;
  std::string peer_uri;
};

namespace {

int VerifyClient(int chain_ok, X509_STORE_CTX* store) {
  if (chain_ok != 1) return 0;
  if (X509_STORE_CTX_get_error_depth(store) != 0) return 1;
  const auto* const ssl =
      static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* const state = static_cast<const ServerContext::State*>(SSL_get_app_data(ssl));
  X509* const leaf = X509_STORE_CTX_get_current_cert(store);
  // OpenSSL takes a certificate without an extended key usage for every purpose.
  const uint32_t usage = X509_get_extended_key_usage(leaf);
  const bool for_clients = usage != UINT32_MAX && (usage & XKU_SSL_CLIENT) != 0;
  const std::string uri = OneUri(leaf);
  if (for_clients && !uri.empty() &&
      std::find(state->client_uris.begin(), state->client_uris.end(), uri) != state->client_uris.end())
    return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

// An encrypted key must not make the program ask on a terminal.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) {
  return -1;
}

Error FileError(const std::string& file, const std::string& what) {
  const Error reason = OpenSslError(what);
  return Error(Code::kInvalidInput, file + ": " + reason.message());
}

ServerStream::Io Explain(SSL* ssl, int returned) {
  switch (SSL_get_error(ssl, returned)) {
    case SSL_ERROR_WANT_READ: return ServerStream::Io::kWantRead;
    case SSL_ERROR_WANT_WRITE: return ServerStream::Io::kWantWrite;
    case SSL_ERROR_ZERO_RETURN: return ServerStream::Io::kEnd;
    default: ERR_clear_error(); return ServerStream::Io::kFailed;
  }
}

}  // namespace

ServerContext::~ServerContext() = default;

Result<ServerContext> ServerContext::Load(const TlsFiles& files, std::vector<std::string> client_uris) {
  InitTlsLibrary();
  if (client_uris.empty())
    return Error(Code::kInvalidInput, "no client is expected: name the URI of each that may call");
  auto state = std::make_shared<State>();
  state->client_uris = std::move(client_uris);
  state->context.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = state->context.get();
  if (context == nullptr) return OpenSslError("TLS context");
  ERR_clear_error();
  SSL_CTX_set_default_passwd_cb(context, NoPassphrase);
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
    return FileError(files.certificate, "no certificate chain in PEM");
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return FileError(files.key, "no unencrypted private key in PEM that belongs to " + files.certificate);
  if (SSL_CTX_check_private_key(context) != 1) return FileError(files.key, "not the key of " + files.certificate);
  if (SSL_CTX_load_verify_file(context, files.authorities.c_str()) != 1)
    return FileError(files.authorities, "no certificates in PEM");
  const bool good = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                    SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                    SSL_CTX_set_ciphersuites(context, kCipherSuites) == 1 &&
                    SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 && SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!good) return OpenSslError("TLS context");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, VerifyClient);
  SSL_CTX_set_verify_depth(context, kMostIntermediates);
  return ServerContext(std::shared_ptr<const State>(std::move(state)));
}

ServerStream::ServerStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
ServerStream::ServerStream(ServerStream&&) noexcept = default;
ServerStream& ServerStream::operator=(ServerStream&&) noexcept = default;
ServerStream::~ServerStream() = default;

Result<ServerStream> ServerStream::Create(const ServerContext& context, int fd) {
  auto state = std::make_unique<State>();
  state->context = context.state();
  state->ssl.reset(SSL_new(state->context->context.get()));
  if (state->ssl == nullptr || SSL_set_fd(state->ssl.get(), fd) != 1) return OpenSslError("TLS connection");
  // OpenSSL's application data is a void*, and the state is only read through it.
  SSL_set_app_data(state->ssl.get(), const_cast<ServerContext::State*>(state->context.get()));
  SSL_set_accept_state(state->ssl.get());
  return ServerStream(std::move(state));
}

ServerStream::Io ServerStream::Handshake() {
  ERR_clear_error();
  SSL* const ssl = state_->ssl.get();
  const int returned = SSL_do_handshake(ssl);
  if (returned != 1) {
    const Io io = Explain(ssl, returned);
    return io == Io::kEnd ? Io::kFailed : io;
  }
  X509* const leaf = SSL_get0_peer_certificate(ssl);
  // The callback refused every other client; this only insists.
  if (leaf == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return Io::kFailed;
  state_->peer_uri = OneUri(leaf);
  return Io::kDone;
}

ServerStream::Io ServerStream::Read(char* buffer, size_t size, size_t& got) {
  ERR_clear_error();
  got = 0;
  const int returned = SSL_read_ex(state_->ssl.get(), buffer, size, &got);
  return returned == 1 ? Io::kDone : Explain(state_->ssl.get(), returned);
}

ServerStream::Io ServerStream::Write(std::string_view bytes, size_t& put) {
  ERR_clear_error();
  put = 0;
  const int returned = SSL_write_ex(state_->ssl.get(), bytes.data(), bytes.size(), &put);
  if (returned == 1) return Io::kDone;
  const Io io = Explain(state_->ssl.get(), returned);
  return io == Io::kEnd ? Io::kFailed : io;
}

bool ServerStream::HasPending() const {
  return SSL_has_pending(state_->ssl.get()) == 1;
}

void ServerStream::Shutdown() {
  ERR_clear_error();
  SSL_shutdown(state_->ssl.get());
  ERR_clear_error();
}

const std::string& ServerStream::peer_uri() const {
  return state_->peer_uri;
}

}  // namespace bulkhead::certs

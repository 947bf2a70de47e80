#include "certs/tls.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "certs/tls_internal.h"

namespace bulkhead::certs {

namespace {

using SteadyClock = std::chrono::steady_clock;
using Deadline = SteadyClock::time_point;

// --- who the peer must be -------------------------------------------------------------------------

// SPIFFE X509-SVID, section 4.1: exactly one URI SAN. Other kinds of names beside it are refused too.
bool HasExactlyThisUri(X509* certificate, const std::string& expected) {
  int critical = 0;
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  if (names == nullptr || sk_GENERAL_NAME_num(names.get()) != 1) return false;
  const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_URI) return false;
  const ASN1_IA5STRING* const uri = name->d.uniformResourceIdentifier;
  return expected == std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                                      static_cast<size_t>(ASN1_STRING_length(uri)));
}

// OpenSSL takes a certificate without an extended key usage for every purpose; ours always have one.
bool IsForPurpose(X509* certificate, bool peer_is_client) {
  const uint32_t usage = X509_get_extended_key_usage(certificate);
  return usage != UINT32_MAX && usage == (peer_is_client ? XKU_SSL_CLIENT : XKU_SSL_SERVER);
}

int VerifyPeer(int chain_ok, X509_STORE_CTX* store) {
  return VerifyLeaf(chain_ok, store, [](X509* leaf, const TlsContext::State& state) {
    return HasExactlyThisUri(leaf, state.expected_peer_uri) && IsForPurpose(leaf, state.server);
  });
}

// --- contexts -------------------------------------------------------------------------------------

CertPtr CertificateFromDer(const std::string& der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  return CertPtr(d2i_X509(nullptr, &bytes, static_cast<long>(der.size())));
}

KeyPtr KeyFromDer(std::string_view der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  return KeyPtr(d2i_AutoPrivateKey(nullptr, &bytes, static_cast<long>(der.size())));
}

Result<std::shared_ptr<TlsContext::State>> NewState(const Identity& self, std::string_view expected_peer_uri,
                                                    bool server) {
  InitTlsLibrary();
  if (expected_peer_uri.empty())
    return Error(Code::kInvalidInput, "no peer is expected: a TLS context without one is not made");
  auto state = std::make_shared<TlsContext::State>();
  state->server = server;
  state->expected_peer_uri = std::string(expected_peer_uri);
  state->context.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  const CertPtr leaf = CertificateFromDer(self.certificate_der);
  const CertPtr authority = CertificateFromDer(self.authority_der);
  const KeyPtr key = KeyFromDer(self.private_key_der.Reveal());
  SSL_CTX* const context = state->context.get();
  if (context == nullptr || leaf == nullptr || authority == nullptr || key == nullptr) return OpenSslError("identity");

  const bool good = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                    SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                    SSL_CTX_set_ciphersuites(context, kCipherSuites) == 1 &&
                    SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 &&
                    SSL_CTX_use_certificate(context, leaf.get()) == 1 &&
                    SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1 &&
                    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) == 1 &&
                    SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!good) return OpenSslError("TLS context");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A record's header and body in one read(2).
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, VerifyPeer);
  SSL_CTX_set_verify_depth(context, 1);
  return state;
}

// --- streams --------------------------------------------------------------------------------------

Error TimedOut() {
  return Error(Code::kDeadlineExceeded, "timed out");
}

}  // namespace

void InitTlsLibrary() {
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                   nullptr);
}

TlsContext::~TlsContext() = default;

Result<TlsContext> TlsContext::ForClient(const Identity& self, std::string_view expected_peer_uri) {
  BULKHEAD_ASSIGN(std::shared_ptr<State> state, NewState(self, expected_peer_uri, false));
  return TlsContext(std::move(state));
}

Result<TlsContext> TlsContext::ForServer(const Identity& self, std::string_view expected_peer_uri) {
  BULKHEAD_ASSIGN(std::shared_ptr<State> state, NewState(self, expected_peer_uri, true));
  return TlsContext(std::move(state));
}

int VerifyLeaf(int chain_ok, X509_STORE_CTX* store, bool (*accept)(X509* leaf, const TlsContext::State& state)) {
  if (chain_ok != 1) return 0;
  if (X509_STORE_CTX_get_error_depth(store) != 0) return 1;
  const auto* const ssl =
      static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* const state = static_cast<const TlsContext::State*>(SSL_get_app_data(ssl));
  if (accept(X509_STORE_CTX_get_current_cert(store), *state)) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

SslPtr NewConnection(const TlsContext::State& state) {
  SslPtr ssl(SSL_new(state.context.get()));
  if (ssl == nullptr) return ssl;
  // OpenSSL's application data is a void*, and the state is only read through it.
  SSL_set_app_data(ssl.get(), const_cast<TlsContext::State*>(&state));
  if (!state.web_server.empty() && SSL_set_tlsext_host_name(ssl.get(), state.web_server.c_str()) != 1) return nullptr;
  if (state.server) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
  }
  return ssl;
}

struct TlsStream::State {
  std::shared_ptr<const TlsContext::State> context;
  UniqueFd fd;
  SslPtr ssl;

  // Waits for `events` on the socket. By poll(2), never in a blocking read: a reader that sleeps in read(2) on a Unix
  // socket is also woken each time its peer takes bytes out, only to go back to sleep.
  Status Wait(short events, Deadline deadline) const {
    for (;;) {
      const std::chrono::nanoseconds left = deadline - SteadyClock::now();
      if (left.count() <= 0) return TimedOut();
      const auto most = std::min<std::chrono::nanoseconds>(left, std::chrono::hours(1));
      const timespec timeout = {most.count() / 1'000'000'000, most.count() % 1'000'000'000};
      pollfd waiting = {fd.get(), events, 0};
      const int ready = ::ppoll(&waiting, 1, &timeout, nullptr);
      if (ready > 0) return OkStatus();
      if (ready < 0 && errno != EINTR) return ErrnoError("poll", errno);
    }
  }

  // What a failed SSL call means. kOk: try again.
  Status Explain(int returned, int saved_errno, Deadline deadline) const {
    switch (SSL_get_error(ssl.get(), returned)) {
      case SSL_ERROR_WANT_READ: return Wait(POLLIN, deadline);
      case SSL_ERROR_WANT_WRITE: return Wait(POLLOUT, deadline);
      case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        if (saved_errno == EINTR) return OkStatus();
        return Error(Code::kUnavailable,
                     saved_errno == 0 ? "connection closed" : ErrnoError("connection", saved_errno).message());
      default: break;
    }
    const long verified = SSL_get_verify_result(ssl.get());
    const unsigned long code = ERR_peek_error();
    if (verified != X509_V_OK) {
      ERR_clear_error();
      return Error(Code::kPermissionDenied,
                   verified == X509_V_ERR_APPLICATION_VERIFICATION
                       ? "TLS: the peer is not " + context->expected_peer_uri
                       : "TLS: the peer's certificate: " + std::string(X509_verify_cert_error_string(verified)));
    }
    // An alert about our certificate, or an end without close_notify.
    if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
      ERR_clear_error();
      return Error(Code::kUnavailable, "connection closed without close_notify");
    }
    return Error(Code::kPermissionDenied, OpenSslError("TLS").message());
  }
};

TlsStream::TlsStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsStream::TlsStream(TlsStream&&) noexcept = default;
TlsStream& TlsStream::operator=(TlsStream&&) noexcept = default;
TlsStream::~TlsStream() = default;

Result<TlsStream> TlsStream::Connect(const TlsContext& context, UniqueFd fd, Deadline deadline) {
  auto state = std::make_unique<State>();
  state->context = context.state();
  state->ssl = NewConnection(*state->context);
  if (state->ssl == nullptr || SSL_set_fd(state->ssl.get(), fd.get()) != 1) return OpenSslError("TLS connection");
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoError("fcntl", errno);
  state->fd = std::move(fd);
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int returned = SSL_do_handshake(state->ssl.get());
    if (returned == 1) return TlsStream(std::move(state));
    BULKHEAD_TRY(state->Explain(returned, errno, deadline));
  }
}

Status TlsStream::Write(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    ERR_clear_error();
    errno = 0;
    const int returned =
        SSL_write(state_->ssl.get(), bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1U << 30U)));
    if (returned > 0) {
      bytes.remove_prefix(static_cast<size_t>(returned));
      continue;
    }
    BULKHEAD_TRY(state_->Explain(returned, errno, deadline));
  }
  return OkStatus();
}

Result<size_t> TlsStream::Read(char* buffer, size_t size, Deadline deadline) {
  for (;;) {
    // An answer is hardly ever there already.
    if (SSL_has_pending(state_->ssl.get()) != 1) BULKHEAD_TRY(state_->Wait(POLLIN, deadline));
    ERR_clear_error();
    errno = 0;
    const int returned = SSL_read(state_->ssl.get(), buffer, static_cast<int>(std::min<size_t>(size, 1U << 30U)));
    if (returned > 0) return static_cast<size_t>(returned);
    const int saved_errno = errno;
    if (SSL_get_error(state_->ssl.get(), returned) == SSL_ERROR_ZERO_RETURN) return size_t{0};
    BULKHEAD_TRY(state_->Explain(returned, saved_errno, deadline));
  }
}

bool TlsStream::HasPending() {
  // Read ahead, so also records that were not opened yet.
  if (SSL_has_pending(state_->ssl.get()) == 1) return true;
  pollfd waiting = {state_->fd.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) != 0;
}

int TlsStream::fd() const {
  return state_->fd.get();
}

}  // namespace bulkhead::certs

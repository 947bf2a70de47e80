#include <openssl/ec.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "certs/identity.h"
#include "certs/openssl_ptr.h"

namespace bulkhead::certs {

namespace {

constexpr long kX509v3 = 2;  // versions count from 0

struct Validity {
  time_t not_before = 0;
  time_t not_after = 0;
};

bool IsTrustDomain(std::string_view domain) {
  return !domain.empty() && domain.size() <= 255 && std::all_of(domain.begin(), domain.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context = {};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1)
    return OpenSslError("certificate extension " + value);
  return OkStatus();
}

// Built as an object: a configuration string would give the URI's characters a meaning.
Status AddUri(X509* certificate, const std::string& uri) {
  const NamesPtr names(sk_GENERAL_NAME_new_null());
  GENERAL_NAME* const name = GENERAL_NAME_new();
  ASN1_IA5STRING* const text = ASN1_IA5STRING_new();
  if (names == nullptr || name == nullptr || text == nullptr ||
      ASN1_STRING_set(text, uri.data(), static_cast<int>(uri.size())) != 1) {
    return OpenSslError("subject alternative name");
  }
  GENERAL_NAME_set0_value(name, GEN_URI, text);
  if (sk_GENERAL_NAME_push(names.get(), name) == 0) return OpenSslError("subject alternative name");
  // The subject is empty, so the extension is critical (RFC 5280, section 4.2.1.6).
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), /*crit=*/1, X509V3_ADD_DEFAULT) != 1) {
    return OpenSslError("subject alternative name");
  }
  return OkStatus();
}

Result<CertPtr> NewCertificate(EVP_PKEY* key, const Validity& validity) {
  CertPtr certificate(X509_new());
  std::array<unsigned char, 16> serial_bytes = {};
  if (certificate == nullptr || RAND_bytes(serial_bytes.data(), static_cast<int>(serial_bytes.size())) != 1)
    return OpenSslError("certificate");
  serial_bytes[0] = static_cast<unsigned char>((serial_bytes[0] & 0x7FU) | 0x40U);  // positive and never short
  const BigNumPtr serial(BN_bin2bn(serial_bytes.data(), static_cast<int>(serial_bytes.size()), nullptr));
  const bool good = serial != nullptr &&
                    BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) != nullptr &&
                    X509_set_version(certificate.get(), kX509v3) == 1 &&
                    ASN1_TIME_set(X509_getm_notBefore(certificate.get()), validity.not_before) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(certificate.get()), validity.not_after) != nullptr &&
                    X509_set_pubkey(certificate.get(), key) == 1;
  if (!good) return OpenSslError("certificate");
  return certificate;
}

template <typename T>
Result<std::string> ToDer(int (*encode)(const T*, unsigned char**), const T* object, const char* what) {
  unsigned char* bytes = nullptr;
  const int size = encode(object, &bytes);
  if (size <= 0) return OpenSslError(what);
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  OPENSSL_clear_free(bytes, static_cast<size_t>(size));
  return der;
}

Result<std::string> KeyToDer(const EVP_PKEY* key) {
  PKCS8_PRIV_KEY_INFO* const info = EVP_PKEY2PKCS8(key);
  if (info == nullptr) return OpenSslError("private key");
  auto der = ToDer<PKCS8_PRIV_KEY_INFO>(i2d_PKCS8_PRIV_KEY_INFO, info, "private key");
  PKCS8_PRIV_KEY_INFO_free(info);
  return der;
}

}  // namespace

struct Authority::State {
  std::string trust_domain;
  Validity validity;
  KeyPtr key;
  CertPtr certificate;
  std::string certificate_der;
};

Authority::Authority(std::unique_ptr<State> state) : state_(std::move(state)) {}
Authority::Authority(Authority&&) noexcept = default;
Authority& Authority::operator=(Authority&&) noexcept = default;
Authority::~Authority() = default;

Result<Authority> Authority::Create(std::string_view trust_domain, std::chrono::seconds lifetime, const Clock& clock) {
  if (!IsTrustDomain(trust_domain)) {
    return Error(Code::kInvalidInput,
                 "a SPIFFE trust domain has 1 to 255 lower-case letters, digits, '.', '-' and '_'");
  }
  auto state = std::make_unique<State>();
  state->trust_domain = std::string(trust_domain);
  const WallTime now = clock.Wall();
  state->validity = {WallTime::clock::to_time_t(now - kClockTolerance), WallTime::clock::to_time_t(now + lifetime)};
  state->key.reset(EVP_EC_gen("P-256"));
  if (state->key == nullptr) return OpenSslError("P-256 key");
  BULKHEAD_ASSIGN(state->certificate, NewCertificate(state->key.get(), state->validity));

  X509* const certificate = state->certificate.get();
  X509_NAME* const name = X509_get_subject_name(certificate);
  const std::string common_name = "Bulkhead ephemeral CA";
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1 ||
      X509_set_issuer_name(certificate, name) != 1) {
    return OpenSslError("certificate name");
  }
  BULKHEAD_TRY(AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  BULKHEAD_TRY(AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign"));
  BULKHEAD_TRY(AddExtension(certificate, certificate, NID_subject_key_identifier, "hash"));
  BULKHEAD_TRY(AddUri(certificate, "spiffe://" + state->trust_domain));
  if (X509_sign(certificate, state->key.get(), EVP_sha256()) == 0) return OpenSslError("signing the CA certificate");
  BULKHEAD_ASSIGN(state->certificate_der, ToDer<X509>(i2d_X509, certificate, "CA certificate"));
  return Authority(std::move(state));
}

Result<Identity> Authority::Issue(std::string_view uri, Role role) const {
  if (!uri.starts_with("spiffe://" + state_->trust_domain + "/")) {
    return Error(Code::kInvalidInput, "the URI is not in the trust domain " + state_->trust_domain);
  }
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return OpenSslError("P-256 key");
  BULKHEAD_ASSIGN(const CertPtr certificate, NewCertificate(key.get(), state_->validity));
  X509* const ca = state_->certificate.get();
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(ca)) != 1) return OpenSslError("issuer name");
  BULKHEAD_TRY(AddExtension(certificate.get(), ca, NID_basic_constraints, "critical,CA:FALSE"));
  BULKHEAD_TRY(AddExtension(certificate.get(), ca, NID_key_usage, "critical,digitalSignature"));
  BULKHEAD_TRY(
      AddExtension(certificate.get(), ca, NID_ext_key_usage, role == Role::kServer ? "serverAuth" : "clientAuth"));
  BULKHEAD_TRY(AddExtension(certificate.get(), ca, NID_authority_key_identifier, "keyid:always"));
  BULKHEAD_TRY(AddUri(certificate.get(), std::string(uri)));
  if (X509_sign(certificate.get(), state_->key.get(), EVP_sha256()) == 0) return OpenSslError("signing a certificate");

  Identity identity;
  identity.uri = std::string(uri);
  BULKHEAD_ASSIGN(identity.certificate_der, ToDer<X509>(i2d_X509, certificate.get(), "certificate"));
  BULKHEAD_ASSIGN(std::string key_der, KeyToDer(key.get()));
  identity.private_key_der = Secret(std::move(key_der));
  identity.authority_der = state_->certificate_der;
  return identity;
}

const std::string& Authority::trust_domain() const {
  return state_->trust_domain;
}

}  // namespace bulkhead::certs

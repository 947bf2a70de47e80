// Identities and the ephemeral certificate authority.
//
// An Authority lives in the memory of one agent only, until an Issuer replaces it: P-256 keys, each leaf with exactly
// one SPIFFE URI SAN (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md, sections 2 and 4). OpenSSL
// types do not appear in this header. All types are immutable after construction and safe to read from many threads.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/base/secret.h"

namespace bulkhead::certs {

// A leaf certificate, its private key and the authority to trust: all a TLS endpoint needs.
// DER, so that the shim needs no PEM reader.
struct Identity {
  std::string uri;              // the SPIFFE id in the leaf's SAN
  std::string certificate_der;  // X.509
  Secret private_key_der;       // PKCS#8
  std::string authority_der;    // the issuing CA certificate

  Identity Clone() const { return {uri, certificate_der, private_key_der.Clone(), authority_der}; }
};

// A certificate is good from this long before it was made: clocks are set back by small steps.
inline constexpr auto kClockTolerance = std::chrono::minutes(5);

enum class Role { kClient, kServer };  // sets the extended key usage

class Authority {
 public:
  // `lifetime` bounds the CA and all its leaves. kInvalidInput for a bad trust domain.
  static Result<Authority> Create(std::string_view trust_domain, std::chrono::seconds lifetime, const Clock& clock);
  Authority(Authority&&) noexcept;
  Authority& operator=(Authority&&) noexcept;
  ~Authority();

  Result<Identity> Issue(std::string_view uri, Role role) const;
  const std::string& trust_domain() const;

 private:
  struct State;
  explicit Authority(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// "spiffe://<domain>/ns/<namespace>/wf/<workflow>/plugin/<name>" and ".../agent". Each segment must be
// of [A-Za-z0-9._-] (SPIFFE-ID, section 2.2) and is refused otherwise.
Result<std::string> PluginUri(std::string_view domain, std::string_view name_space, std::string_view workflow,
                              std::string_view plugin);
Result<std::string> AgentUri(std::string_view domain, std::string_view name_space, std::string_view workflow);

}  // namespace bulkhead::certs

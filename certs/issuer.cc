#include "certs/issuer.h"

#include <utility>

namespace bulkhead::certs {

Issuer::Issuer(std::string trust_domain, std::string agent_uri, std::chrono::seconds lifetime, const Clock& clock)
    : trust_domain_(std::move(trust_domain)), agent_uri_(std::move(agent_uri)), lifetime_(lifetime), clock_(clock) {}

Result<std::unique_ptr<Issuer>> Issuer::Create(std::string_view trust_domain, std::string_view agent_uri,
                                               std::chrono::seconds lifetime, const Clock& clock) {
  std::unique_ptr<Issuer> issuer(new Issuer(std::string(trust_domain), std::string(agent_uri), lifetime, clock));
  BULKHEAD_ASSIGN(issuer->current_, issuer->Make());
  return issuer;
}

Result<std::shared_ptr<const Credentials>> Issuer::Make() const {
  const WallTime now = clock_.Wall();
  BULKHEAD_ASSIGN(Authority authority, Authority::Create(trust_domain_, lifetime_, clock_));
  BULKHEAD_ASSIGN(Identity agent, authority.Issue(agent_uri_, Role::kClient));
  return std::make_shared<const Credentials>(Credentials{std::move(authority), std::move(agent), now});
}

Result<std::shared_ptr<const Credentials>> Issuer::Current() {
  const std::lock_guard lock(mutex_);
  const WallTime now = clock_.Wall();
  // A clock that was set back leaves certificates that are not good yet; a small step is within their tolerance.
  const bool good = now < current_->made + lifetime_ * 2 / 3 && now >= current_->made - kClockTolerance / 2;
  if (!good) {
    BULKHEAD_ASSIGN(current_, Make());
  }
  return current_;
}

}  // namespace bulkhead::certs

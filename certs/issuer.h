// Issuer: the authority in force and the agent's certificate by it, replaced before they end.
//
// An agent may live for months, its certificates may not. Both ends of a connection to a compartment are given theirs
// by the same process, so no two authorities have to be trusted at once: the shim gets a new certificate and the new
// authority before the first connection that is made with them, and connections that stand are not touched.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "certs/identity.h"
#include "runner/base/clock.h"
#include "runner/base/result.h"

namespace bulkhead::certs {

// An authority and what it issued to the agent. Immutable.
struct Credentials {
  Authority authority;
  Identity agent;
  WallTime made;
};

// Thread-safe.
class Issuer {
 public:
  // The first credentials are made at once. Each has `lifetime`, at least some seconds; `clock` outlives the issuer.
  static Result<std::unique_ptr<Issuer>> Create(std::string_view trust_domain, std::string_view agent_uri,
                                                std::chrono::seconds lifetime, const Clock& clock);

  // What to make a connection with now: new credentials once two thirds of the life of those before are over, or when
  // the wall clock was set to where they are not good.
  Result<std::shared_ptr<const Credentials>> Current();

 private:
  Issuer(std::string trust_domain, std::string agent_uri, std::chrono::seconds lifetime, const Clock& clock);
  Result<std::shared_ptr<const Credentials>> Make() const;

  const std::string trust_domain_;
  const std::string agent_uri_;
  const std::chrono::seconds lifetime_;
  const Clock& clock_;
  std::mutex mutex_;
  std::shared_ptr<const Credentials> current_;  // guarded by mutex_
};

}  // namespace bulkhead::certs

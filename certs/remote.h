// RemoteContext: how a plugin elsewhere is called, by PEM files that somebody else renews (cert-manager, SPIRE).
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "certs/server_context.h"
#include "certs/tls.h"
#include "runner/base/result.h"

namespace bulkhead::certs {

// Thread-safe.
class RemoteContext {
 public:
  // kInvalidInput naming what is wrong with the files.
  static Result<std::unique_ptr<RemoteContext>> Load(const TlsFiles& files, std::string expected_uri);

  // For a new connection; reads the files again when they have changed. When they are wrong then (Kubernetes may be
  // in the middle of replacing them), what was in force stays, and the next call looks again.
  TlsContext Get();
  // Why the files are not in force; unset when they are.
  std::optional<std::string> Broken() const;

 private:
  RemoteContext(TlsFiles files, std::string expected_uri, std::string stamp, TlsContext context);

  const TlsFiles files_;
  const std::string expected_uri_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::string stamp_;  // of the files in force
  TlsContext context_;
  std::optional<std::string> broken_;
};

}  // namespace bulkhead::certs

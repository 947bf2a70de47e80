// Stream: the bytes of one connection, over TLS or, only where that was asked for, plain.
#pragma once

#include <memory>
#include <string_view>

#include "certs/tls.h"
#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::rpc {

// Not thread-safe. Errors and waits are those of certs::TlsStream.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual Status Write(std::string_view bytes, SteadyTime deadline) = 0;
  // At least one byte; 0 at the peer's orderly end.
  virtual Result<size_t> Read(char* buffer, size_t size, SteadyTime deadline) = 0;
  // Whether bytes, or an end, wait to be read now.
  virtual bool HasPending() = 0;
  virtual int fd() const = 0;
};

// Takes a connected blocking socket and performs the handshake.
Result<std::unique_ptr<Stream>> OpenTls(const certs::TlsContext& context, UniqueFd fd, SteadyTime deadline);

// kPermissionDenied unless both ends of the connected socket are loopback addresses: nobody else is to read along.
Result<std::unique_ptr<Stream>> OpenPlainLoopback(UniqueFd fd);

// To wherever the connected socket leads; for the web servers that an egress policy allows by scheme http, never for
// a plugin.
std::unique_ptr<Stream> OpenPlain(UniqueFd fd);

}  // namespace bulkhead::rpc

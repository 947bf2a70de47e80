// Where a server listens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runner/base/result.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::gateway {

struct ListenAddress {
  std::string host;  // an IPv4 or IPv6 address, without brackets
  uint16_t port = 0;
  bool ipv6 = false;
  bool loopback = false;

  std::string ToString() const;  // "127.0.0.1:4355", "[::1]:4355"
};

// "127.0.0.1:4355", "[::1]:4355", "localhost:4355" (127.0.0.1), ":4355" (every IPv4 address). Names are not
// resolved: what is listened on must be seen in the option. kInvalidInput otherwise.
Result<ListenAddress> ParseListenAddress(std::string_view text);

// A non-blocking listening socket. `address` gets the port that was chosen when it is 0.
Result<UniqueFd> Listen(ListenAddress& address);

}  // namespace bulkhead::gateway

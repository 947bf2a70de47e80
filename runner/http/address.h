// IP addresses: their one text form, what kind of place each leads to, and ranges of them. Pure functions.
//
// Kinds follow IANA's special-purpose address registries (RFC 6890 and its updates); the metadata addresses are those
// that cloud providers document for their instances.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runner/base/result.h"

namespace bulkhead::http {

struct IpAddress {
  bool v4 = true;
  std::array<uint8_t, 16> bytes{};  // v4: the first four

  bool operator==(const IpAddress&) const = default;
};

// Dotted decimal without leading zeros, or an IPv6 address without brackets and zone; nullopt otherwise.
std::optional<IpAddress> ParseAddress(std::string_view text);
std::string FormatAddress(const IpAddress& address);

enum class AddressKind {
  kPublic,
  kPrivate,    // RFC 1918, RFC 4193, and the shared space of RFC 6598
  kLoopback,   // 127.0.0.0/8, ::1
  kLinkLocal,  // 169.254.0.0/16, fe80::/10
  kMetadata,   // where clouds hand out credentials
  kSpecial,    // unspecified, multicast, broadcast, reserved, for documentation; IPv6 forms that hide an IPv4 address
};
// "public", "private", "loopback", "link-local", "metadata", "special"
std::string_view AddressKindName(AddressKind kind);

// A NAT64 address (64:ff9b::/96) is of the kind of the IPv4 address that it leads to, since networks without IPv4
// resolve every name to one.
AddressKind KindOf(const IpAddress& address);

struct AddressRange {
  IpAddress base;
  unsigned prefix = 0;  // bits

  bool Contains(const IpAddress& address) const;
  bool is_single() const { return prefix == (base.v4 ? 32U : 128U); }
};

// "10.0.0.0/8", "fd00::/8", or a single address. kInvalidInput also when bits after the prefix are set.
Result<AddressRange> ParseRange(std::string_view text);

}  // namespace bulkhead::http

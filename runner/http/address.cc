#include "runner/http/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <span>

#include "runner/base/text.h"

namespace bulkhead::http {

namespace {

struct KindOfRange {
  std::string_view range;
  AddressKind kind;
};

// The first that contains an address decides.
constexpr std::array kRangesV4 = std::to_array<KindOfRange>({
    {"169.254.169.254", AddressKind::kMetadata},  // AWS, Azure, Google Cloud, OpenStack and others
    {"169.254.170.2", AddressKind::kMetadata},    // AWS: credentials of tasks
    {"169.254.170.23", AddressKind::kMetadata},   // AWS: credentials of pods
    {"100.100.100.200", AddressKind::kMetadata},  // Alibaba Cloud
    {"168.63.129.16", AddressKind::kMetadata},    // Azure: the host's own service
    {"192.0.0.192", AddressKind::kMetadata},      // Oracle Cloud
    {"0.0.0.0/8", AddressKind::kSpecial},
    {"10.0.0.0/8", AddressKind::kPrivate},
    {"100.64.0.0/10", AddressKind::kPrivate},
    {"127.0.0.0/8", AddressKind::kLoopback},
    {"169.254.0.0/16", AddressKind::kLinkLocal},
    {"172.16.0.0/12", AddressKind::kPrivate},
    {"192.0.0.0/24", AddressKind::kSpecial},
    {"192.0.2.0/24", AddressKind::kSpecial},
    {"192.88.99.0/24", AddressKind::kSpecial},
    {"192.168.0.0/16", AddressKind::kPrivate},
    {"198.18.0.0/15", AddressKind::kSpecial},
    {"198.51.100.0/24", AddressKind::kSpecial},
    {"203.0.113.0/24", AddressKind::kSpecial},
    {"224.0.0.0/3", AddressKind::kSpecial},  // multicast, reserved, broadcast
});

constexpr std::array kRangesV6 = std::to_array<KindOfRange>({
    {"fd00:ec2::254", AddressKind::kMetadata},  // AWS
    {"fd00:ec2::23", AddressKind::kMetadata},   // AWS: credentials of pods
    {"fd20:ce::254", AddressKind::kMetadata},   // Google Cloud
    {"::1", AddressKind::kLoopback},
    {"fc00::/7", AddressKind::kPrivate},
    {"fe80::/10", AddressKind::kLinkLocal},
    {"2001::/23", AddressKind::kSpecial},  // Teredo hides an IPv4 address; protocol assignments
    {"2001:db8::/32", AddressKind::kSpecial},
    {"2002::/16", AddressKind::kSpecial},  // 6to4 hides an IPv4 address
    {"2000::/3", AddressKind::kPublic},
    // All else is not global unicast: ::ffff:0:0/96 and ::/96 (IPv4 in disguise), fec0::/10, ff00::/8, ...
    {"::/0", AddressKind::kSpecial},
});

constexpr std::string_view kNat64 = "64:ff9b::/96";

AddressKind Lookup(std::span<const KindOfRange> table, const IpAddress& address) {
  for (const KindOfRange& entry : table) {
    const auto range = ParseRange(entry.range);
    if (range.ok() && range->Contains(address)) return entry.kind;
  }
  return AddressKind::kPublic;
}

}  // namespace

std::optional<IpAddress> ParseAddress(std::string_view text) {
  IpAddress address;
  const std::string copy(text);
  if (copy.size() != text.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  address.v4 = text.find(':') == std::string_view::npos;
  if (::inet_pton(address.v4 ? AF_INET : AF_INET6, copy.c_str(), address.bytes.data()) != 1) return std::nullopt;
  return address;
}

std::string FormatAddress(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(address.v4 ? AF_INET : AF_INET6, address.bytes.data(), text.data(), text.size());
  return text.data();
}

std::string_view AddressKindName(AddressKind kind) {
  switch (kind) {
    case AddressKind::kPublic: return "public";
    case AddressKind::kPrivate: return "private";
    case AddressKind::kLoopback: return "loopback";
    case AddressKind::kLinkLocal: return "link-local";
    case AddressKind::kMetadata: return "metadata";
    case AddressKind::kSpecial: return "special";
  }
  return "";
}

AddressKind KindOf(const IpAddress& address) {
  if (address.v4) return Lookup(kRangesV4, address);
  if (const auto nat64 = ParseRange(kNat64); nat64.ok() && nat64->Contains(address)) {
    IpAddress inner;
    std::copy(address.bytes.begin() + 12, address.bytes.end(), inner.bytes.begin());
    return KindOf(inner);
  }
  return Lookup(kRangesV6, address);
}

bool AddressRange::Contains(const IpAddress& address) const {
  if (address.v4 != base.v4) return false;
  for (unsigned bit = 0; bit < prefix; ++bit) {
    const auto mask = static_cast<uint8_t>(0x80U >> (bit % 8));
    if ((address.bytes[bit / 8] & mask) != (base.bytes[bit / 8] & mask)) return false;
  }
  return true;
}

Result<AddressRange> ParseRange(std::string_view text) {
  const size_t slash = text.find('/');
  const auto base = ParseAddress(text.substr(0, slash));
  AddressRange range;
  if (base.has_value()) {
    range.base = *base;
    range.prefix = base->v4 ? 32 : 128;
  }
  bool good = base.has_value();
  if (good && slash != std::string_view::npos) {
    const unsigned most = range.prefix;
    const std::string_view digits = text.substr(slash + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), range.prefix);
    good = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() && range.prefix <= most &&
           (digits.size() == 1 || digits.front() != '0');
  }
  if (!good)
    return Error(Code::kInvalidInput, "\"" + EscapeForTerminal(text) +
                                          "\" is no address and no range: write 192.0.2.1, 10.0.0.0/8 or fd00::/8");
  for (unsigned bit = range.prefix; bit < (range.base.v4 ? 32U : 128U); ++bit) {
    if ((range.base.bytes[bit / 8] & (0x80U >> (bit % 8))) != 0)
      return Error(Code::kInvalidInput, "\"" + EscapeForTerminal(text) + "\" has bits set after its prefix");
  }
  return range;
}

}  // namespace bulkhead::http

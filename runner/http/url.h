// Url: an absolute http or https URL with one reading only.
//
// What two readers could see differently is refused, not repaired: user information, backslashes, control
// characters, hosts in percent-encoding or with non-ASCII letters, trailing dots, IPv6 zones, and IPv4 addresses in
// any form but four decimal numbers (a resolver takes 0x7f.1, 2130706433 and 017700000001 for 127.0.0.1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runner/base/result.h"
#include "runner/http/address.h"

namespace bulkhead::http {

// Plain data; made by ParseUrl and ResolveReference.
struct Url {
  bool tls = false;
  std::string host;                  // lower case; an IPv6 address without brackets
  std::optional<IpAddress> address;  // set when the host is an address
  uint16_t port = 0;                 // never 0
  std::string path = "/";            // begins with '/'; percent-encoded
  std::string query;                 // with its '?', percent-encoded; empty: none

  std::string_view scheme() const { return tls ? "https" : "http"; }
  bool has_default_port() const { return port == (tls ? 443 : 80); }
  std::string Target() const { return path + query; }
  // "host" or "host:port", as the Host field has it.
  std::string Authority() const;
  // "host:port", for CONNECT.
  std::string AuthorityWithPort() const;
  // Scheme, authority and path. Without the query: that is where people put keys.
  std::string ForPeople() const;
};

constexpr size_t kLongestUrl = 8192;

// kInvalidInput with a sentence that says what to write; it holds nothing of the URL but its host or scheme, escaped.
// A fragment is cut off.
Result<Url> ParseUrl(std::string_view text);

// A Location field against the URL of the request (RFC 3986, section 5.2).
Result<Url> ResolveReference(const Url& base, std::string_view reference);
// Whether a Location names no host of its own.
bool IsRelativeReference(std::string_view reference);

// A host name or an address, as it stands in a URL: canonical, or kInvalidInput as for ParseUrl. An IPv6 address may
// have its brackets.
Result<std::string> CanonicalHost(std::string_view host);

}  // namespace bulkhead::http

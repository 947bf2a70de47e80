// URLs as a policy may allow them: strict, so that no reader of the URL can find another host or path in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::policy {

struct Url {
  std::string scheme;  // lower case
  std::string host;    // lower case, without a trailing dot
  uint16_t port = 0;   // the scheme's own when none is written; 0: the scheme has none that we know
  std::string path;    // "" or from '/' on
};

// Only ASCII; a scheme, "://", a host of letters, digits, '-' and '.' (no IP literal in brackets), no userinfo, no
// backslash, no dot segment, no percent-encoded dot, slash, backslash or control. nullopt for anything else.
std::optional<Url> ParseUrl(std::string_view text);

// Whether a host looks like an IPv4 address in any of the forms that some resolver takes (decimal, octal,
// hexadecimal, fewer than four parts).
bool LooksNumericHost(std::string_view host);

}  // namespace bulkhead::policy

#include "runner/http/url.h"

#include <algorithm>
#include <vector>

#include "runner/base/text.h"

namespace bulkhead::http {

namespace {

constexpr size_t kLongestHost = 253;
constexpr size_t kLongestLabel = 63;
constexpr std::string_view kUnreservedMarks = "-._~";
constexpr std::string_view kSubDelimiters = "!$&'()*+,;=";

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsHex(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

Error Bad(std::string reason) {
  return Error(Code::kInvalidInput, std::move(reason));
}

std::string Quoted(std::string_view text) {
  return "\"" + EscapeForTerminal(text.substr(0, kLongestHost)) + "\"";
}

// Whether a resolver would try to read the name as an IPv4 address: its last label is a number (the URL Standard's
// "ends in a number").
bool EndsInNumber(std::string_view host) {
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (last.empty()) return false;
  if (std::all_of(last.begin(), last.end(), IsDigit)) return true;
  return last.size() >= 2 && last[0] == '0' && last[1] == 'x' && std::all_of(last.begin() + 2, last.end(), IsHex);
}

Status CheckName(std::string_view host) {
  if (host.size() > kLongestHost) return Bad("the host of the URL has more than 253 characters");
  if (host.back() == '.') return Bad("the host " + Quoted(host) + " ends in a dot: write it without");
  for (const std::string& label : Split(host, '.')) {
    if (label.empty() || label.size() > kLongestLabel)
      return Bad("the host " + Quoted(host) + " has a label that is empty or longer than 63 characters");
    if (label.front() == '-' || label.back() == '-')
      return Bad("a label of the host " + Quoted(host) + " begins or ends in a hyphen");
  }
  return OkStatus();
}

// --- path and query -------------------------------------------------------------------------------

bool StaysInTarget(char c, bool query) {
  return IsLetter(c) || IsDigit(c) || kUnreservedMarks.find(c) != std::string_view::npos ||
         kSubDelimiters.find(c) != std::string_view::npos || c == ':' || c == '@' || c == '/' || c == '%' ||
         (query && (c == '?' || c == '[' || c == ']'));
}

// Encodes what a request line can't have, as browsers and Go's client do; refuses what no URL can have.
Result<std::string> EncodeTarget(std::string_view text, bool query) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') return Bad("a backslash in the URL, which some readers take for a slash: write %5C");
    const bool escape = c == '%' && i + 2 < text.size() && IsHex(text[i + 1]) && IsHex(text[i + 2]);
    if (c == '%' && !escape) return Bad("a % in the URL that two hexadecimal digits do not follow: write %25");
    if (StaysInTarget(c, query)) {
      out += c;
    } else {
      out += "%";
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      out += kDigits[static_cast<uint8_t>(c) >> 4U];
      out += kDigits[static_cast<uint8_t>(c) & 0xFU];
    }
  }
  return out;
}

// RFC 3986, section 5.2.4, on a path that begins with '/'.
std::string RemoveDotSegments(std::string_view path) {
  std::vector<std::string> kept;
  const std::vector<std::string> segments = Split(path.substr(1), '/');
  for (size_t i = 0; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    if (segments[i] == "." || segments[i] == "..") {
      if (segments[i] == ".." && !kept.empty()) kept.pop_back();
      if (last) kept.emplace_back();
    } else {
      kept.push_back(segments[i]);
    }
  }
  return "/" + Join(kept, "/");
}

Status ReadTarget(std::string_view target, Url& url) {
  const size_t question = target.find('?');
  BULKHEAD_ASSIGN(url.path, EncodeTarget(target.substr(0, question), false));
  if (url.path.empty()) url.path = "/";
  url.query.clear();
  if (question != std::string_view::npos) {
    BULKHEAD_ASSIGN(const std::string query, EncodeTarget(target.substr(question + 1), true));
    url.query = "?" + query;
  }
  return OkStatus();
}

// --- authority ------------------------------------------------------------------------------------

Result<uint16_t> ReadPort(std::string_view text) {
  constexpr size_t kMostDigits = 5;
  if (text.empty() || text.size() > kMostDigits || !std::all_of(text.begin(), text.end(), IsDigit))
    return Bad("the port of the URL must be a number from 1 to 65535");
  unsigned port = 0;
  for (const char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  if (port == 0 || port > UINT16_MAX) return Bad("the port of the URL must be a number from 1 to 65535");
  return static_cast<uint16_t>(port);
}

Status ReadAuthority(std::string_view authority, Url& url) {
  if (authority.find('@') != std::string_view::npos)
    return Bad("the URL has user information before its host (user@host): give credentials in a header");
  size_t end = authority.rfind(':');
  if (authority.starts_with('[')) {
    const size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return Bad("the URL's host has \"[\" without \"]\"");
    end = bracket + 1;
    if (end < authority.size() && authority[end] != ':') return Bad("text between \"]\" and the port in the URL");
  }
  const std::string_view host = authority.substr(0, end);
  BULKHEAD_ASSIGN(url.host, CanonicalHost(host));
  url.address = ParseAddress(url.host);
  url.port = url.tls ? 443 : 80;
  if (end < authority.size()) {
    BULKHEAD_ASSIGN(url.port, ReadPort(authority.substr(end + 1)));
  }
  return OkStatus();
}

// The scheme in lower case, or empty when the text has none (RFC 3986, section 3.1).
std::string SchemeOf(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || !IsLetter(text[0])) return "";
  const std::string_view scheme = text.substr(0, colon);
  const bool good = std::all_of(scheme.begin(), scheme.end(),
                                [](char c) { return IsLetter(c) || IsDigit(c) || c == '+' || c == '-' || c == '.'; });
  return good ? ToLower(scheme) : "";
}

Status CheckText(std::string_view text) {
  if (text.empty()) return Bad("the URL is empty");
  if (text.size() > kLongestUrl) return Bad("the URL is longer than " + std::to_string(kLongestUrl) + " bytes");
  // Readers strip some of these and then see another URL.
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7F; }))
    return Bad("a control character in the URL");
  return OkStatus();
}

}  // namespace

std::string Url::Authority() const {
  if (!has_default_port()) return AuthorityWithPort();
  return address.has_value() && !address->v4 ? "[" + host + "]" : host;
}

std::string Url::AuthorityWithPort() const {
  const std::string name = address.has_value() && !address->v4 ? "[" + host + "]" : host;
  return name + ":" + std::to_string(port);
}

std::string Url::ForPeople() const {
  return std::string(scheme()) + "://" + Authority() + path;
}

Result<std::string> CanonicalHost(std::string_view host) {
  if (host.empty()) return Bad("the URL has no host");
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed || host.find(':') != std::string_view::npos) {
    if (host.find('%') != std::string_view::npos)
      return Bad("an IPv6 zone in the host " + Quoted(host) + ", which means something on one machine only");
    const auto address = ParseAddress(host);
    if (!address.has_value() || address->v4)
      return Bad("the host " + Quoted(host) + " is no IPv6 address: in a URL it stands in brackets, [::1]");
    return FormatAddress(*address);
  }
  if (!std::all_of(host.begin(), host.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; }))
    return Bad("the host " + Quoted(host) + " has other letters than ASCII: write its xn-- form");
  const std::string name = ToLower(host);
  if (!std::all_of(name.begin(), name.end(),
                   [](char c) { return IsLetter(c) || IsDigit(c) || c == '-' || c == '.' || c == '_'; })) {
    return Bad("the host " + Quoted(host) + " may have letters, digits, '-', '_' and '.' only");
  }
  BULKHEAD_TRY(CheckName(name));
  if (!EndsInNumber(name)) return name;
  const auto address = ParseAddress(name);
  if (!address.has_value())
    return Bad("the host " + Quoted(host) + " looks like an IPv4 address: write it as four decimal numbers, 192.0.2.1");
  return FormatAddress(*address);
}

Result<Url> ParseUrl(std::string_view text) {
  BULKHEAD_TRY(CheckText(text));
  const std::string scheme = SchemeOf(text);
  if (scheme.empty()) return Bad("the URL has no scheme: write http://host/... or https://host/...");
  if (scheme != "http" && scheme != "https")
    return Bad("the URL's scheme is " + Quoted(scheme) + "; only http and https are requested");
  std::string_view rest = text.substr(scheme.size() + 1);
  if (!rest.starts_with("//")) return Bad("the URL must go on with // after its scheme");
  rest.remove_prefix(2);
  rest = rest.substr(0, rest.find('#'));
  const size_t end = rest.find_first_of("/?\\");
  Url url;
  url.tls = scheme == "https";
  BULKHEAD_TRY(ReadAuthority(rest.substr(0, end), url));
  BULKHEAD_TRY(ReadTarget(end == std::string_view::npos ? "" : rest.substr(end), url));
  return url;
}

bool IsRelativeReference(std::string_view reference) {
  return SchemeOf(reference).empty() && !reference.starts_with("//");
}

Result<Url> ResolveReference(const Url& base, std::string_view reference) {
  BULKHEAD_TRY(CheckText(reference));
  if (!SchemeOf(reference).empty()) return ParseUrl(reference);
  if (reference.starts_with("//")) return ParseUrl(std::string(base.scheme()) + ":" + std::string(reference));
  reference = reference.substr(0, reference.find('#'));
  Url url = base;
  if (reference.empty()) return url;
  std::string target(reference);
  if (reference.front() == '?') {
    target = base.path + target;
  } else if (reference.front() != '/') {
    target = base.path.substr(0, base.path.rfind('/') + 1) + target;
  }
  BULKHEAD_TRY(ReadTarget(target, url));
  url.path = RemoveDotSegments(url.path);
  return url;
}

}  // namespace bulkhead::http

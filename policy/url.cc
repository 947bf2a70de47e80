#include "policy/url.h"

#include <algorithm>
#include <charconv>

namespace bulkhead::policy {

namespace {

char LowerCase(char c) {
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

std::string Lowered(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), LowerCase);
  return lower;
}

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// RFC 3986: what may stand in a path, query or fragment, without what readers disagree about.
bool IsUrlChar(char c) {
  return IsAlphanumeric(LowerCase(c)) || std::string_view("-._~!$&'()*+,;=:@/?#%").find(c) != std::string_view::npos;
}

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (LowerCase(c) >= 'a' && LowerCase(c) <= 'f') return LowerCase(c) - 'a' + 10;
  return std::nullopt;
}

// Percent signs that encode what changes the path, or nothing.
bool HasBadEscape(std::string_view text) {
  for (size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 1)) {
    if (i + 2 >= text.size()) return true;
    const auto high = HexDigit(text[i + 1]);
    const auto low = HexDigit(text[i + 2]);
    if (!high.has_value() || !low.has_value()) return true;
    const int byte = *high * 16 + *low;
    if (byte < 0x20 || byte == 0x7F || byte == '.' || byte == '/' || byte == '\\' || byte == '%') return true;
  }
  return false;
}

bool HasBadSegment(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    if (segment == "." || segment == ".." || (segment.empty() && !path.empty())) return true;
  }
  return false;
}

bool IsHost(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  while (!host.empty()) {
    const std::string_view label = host.substr(0, host.find('.'));
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return IsAlphanumeric(c) || c == '-'; })) return false;
    host.remove_prefix(std::min(label.size() + 1, host.size()));
  }
  return true;
}

}  // namespace

std::optional<Url> ParseUrl(std::string_view text) {
  Url url;
  if (!std::all_of(text.begin(), text.end(), IsUrlChar)) return std::nullopt;
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  url.scheme = Lowered(text.substr(0, colon));
  if (!std::all_of(url.scheme.begin(), url.scheme.end(), IsAlphanumeric)) return std::nullopt;
  text.remove_prefix(colon + 3);
  std::string_view authority = text.substr(0, text.find_first_of("/?#"));
  text.remove_prefix(authority.size());
  if (authority.find('@') != std::string_view::npos) return std::nullopt;
  url.port = url.scheme == "https" ? 443 : url.scheme == "http" ? 80 : 0;
  if (const size_t at = authority.find(':'); at != std::string_view::npos) {
    const std::string_view digits = authority.substr(at + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || url.port == 0) return std::nullopt;
    authority = authority.substr(0, at);
  }
  if (authority.ends_with('.')) authority.remove_suffix(1);
  url.host = Lowered(authority);
  if (!IsHost(url.host) || HasBadEscape(text)) return std::nullopt;
  url.path = text.substr(0, text.find_first_of("?#"));
  if (HasBadSegment(url.path)) return std::nullopt;
  return url;
}

bool LooksNumericHost(std::string_view host) {
  const size_t dot = host.rfind('.');
  std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (last.starts_with("0x")) {
    last.remove_prefix(2);
    return std::all_of(last.begin(), last.end(), [](char c) { return HexDigit(c).has_value(); });
  }
  return std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace bulkhead::policy

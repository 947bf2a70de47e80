#include "runner/http/proxy.h"

#include "runner/base/text.h"

namespace bulkhead::http {

namespace {

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string PercentDecoded(std::string_view text) {
  const auto digit = [](char c) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    return kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c);
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) != std::string_view::npos &&
                        digit(text[i + 2]) != std::string_view::npos;
    out += escape ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return out;
}

// "host:port" without the port, if the entry names this URL's; nullopt when it names another.
std::optional<std::string> WithoutPort(const std::string& entry, const Url& url) {
  const bool v6 = entry.find(':') != entry.rfind(':');
  const size_t colon = v6 && !entry.starts_with('[') ? std::string::npos : entry.rfind(':');
  const size_t bracket = entry.find(']');
  if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket)) return entry;
  if (entry.substr(colon + 1) != std::to_string(url.port)) return std::nullopt;
  return entry.substr(0, colon);
}

bool EntryCovers(const std::string& entry, const Url& url) {
  if (entry == "*") return true;
  if (url.address.has_value()) {
    if (const auto range = ParseRange(entry); range.ok() && range->Contains(*url.address)) return true;
  }
  std::optional<std::string> host = WithoutPort(entry, url);
  if (!host.has_value() || host->empty()) return false;
  if (host->size() > 2 && host->front() == '[') *host = host->substr(1, host->size() - 2);
  if (url.address.has_value()) return ParseAddress(*host) == url.address;
  // "foo.com" covers itself and what is below it; ".foo.com" and "*.foo.com" only what is below.
  if (host->starts_with("*.")) host->erase(0, 1);
  if (host->front() != '.') return url.host == *host || url.host.ends_with("." + *host);
  return url.host.ends_with(*host);
}

bool IsDirect(const ProxySettings& settings, const Url& url) {
  if (url.host == "localhost" || (url.address.has_value() && KindOf(*url.address) == AddressKind::kLoopback))
    return true;
  for (const std::string& part : Split(settings.no_proxy, ',')) {
    const std::string entry = ToLower(Trim(part));
    if (!entry.empty() && EntryCovers(entry, url)) return true;
  }
  return false;
}

}  // namespace

ProxySettings ProxySettings::FromEnvironment(const std::function<const char*(const char*)>& get) {
  const auto either = [&](const char* upper, const char* lower) -> std::string {
    const char* value = get(upper);
    if (value == nullptr || *value == '\0') value = get(lower);
    return value == nullptr ? "" : value;
  };
  return {either("HTTP_PROXY", "http_proxy"), either("HTTPS_PROXY", "https_proxy"), either("NO_PROXY", "no_proxy")};
}

Result<std::optional<Proxy>> ProxyFor(const ProxySettings& settings, const Url& url) {
  std::string text(Trim(url.tls ? settings.https : settings.http));
  if (text.empty() || IsDirect(settings, url)) return std::optional<Proxy>();
  const std::string variable = url.tls ? "HTTPS_PROXY" : "HTTP_PROXY";
  if (text.find("://") == std::string::npos) text = "http://" + text;
  Proxy proxy;
  // Credentials are what a URL of ours never has.
  const size_t begin = text.find("://") + 3;
  const size_t end = text.find_first_of("/?#", begin);
  const size_t at = text.rfind('@', end);
  if (at != std::string::npos && at > begin) {
    proxy.authorization = "Basic " + Base64Encode(PercentDecoded(text.substr(begin, at - begin)));
    text.erase(begin, at + 1 - begin);
  }
  auto parsed = ParseUrl(text);
  if (!parsed.ok() || parsed->tls)
    return Error(Code::kUnsupported, variable + " must be http://host:port; other kinds of proxies are not spoken to");
  proxy.url = std::move(*parsed);
  return std::optional<Proxy>(std::move(proxy));
}

}  // namespace bulkhead::http

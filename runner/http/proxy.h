// The proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name, read as Go's net/http does
// (golang.org/x/net/http/httpproxy). Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "runner/base/result.h"
#include "runner/http/url.h"

namespace bulkhead::http {

struct ProxySettings {
  std::string http;      // for http: URLs
  std::string https;     // for https: URLs
  std::string no_proxy;  // comma-separated hosts, domains, addresses, ranges, or "*"

  // `get` looks a variable up, as getenv(3). Upper case wins over lower.
  static ProxySettings FromEnvironment(const std::function<const char*(const char*)>& get);
};

struct Proxy {
  Url url;
  std::string authorization;  // the value of Proxy-Authorization; empty: none
};

// The proxy for `url`; nullopt when it is reached directly. kUnsupported for a proxy that is not spoken to by http.
Result<std::optional<Proxy>> ProxyFor(const ProxySettings& settings, const Url& url);

}  // namespace bulkhead::http

#include "runner/source/argo_environment.h"

#include <charconv>
#include <string_view>

#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::source {

namespace {

constexpr std::string_view kSidecarSuffix = "-executor-plugin";

Result<std::vector<std::string>> ReadList(const std::string& text, const std::string& variable) {
  std::vector<std::string> list;
  if (text.empty()) return list;
  const JsonParse parsed = ParseJson(text);
  if (parsed.ok && parsed.value.is_null()) return list;
  bool good = parsed.ok && parsed.value.is_array();
  for (const Value& item : parsed.value.items) {
    good = good && item.is_string();
    list.push_back(item.text);
  }
  if (!good) return Error(Code::kInvalidInput, variable + " must be a JSON list of strings, as Argo sets it");
  return list;
}

bool IsLoopbackHost(std::string_view host) {
  return host == "localhost" || host == "127.0.0.1" || host == "::1";
}

Result<ArgoSidecar> ReadAddress(std::string_view address) {
  ArgoSidecar sidecar;
  std::string_view rest = address;
  constexpr std::string_view kHttp = "http://";
  const bool http = rest.starts_with(kHttp);
  if (http) rest.remove_prefix(kHttp.size());
  while (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t colon = rest.rfind(':');
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string_view port = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), sidecar.port);
  const bool numeric = !port.empty() && error == std::errc() && end == port.data() + port.size() && sidecar.port != 0;
  if (!http || !numeric || !IsLoopbackHost(host)) {
    return Error(Code::kInvalidInput, "ARGO_PLUGIN_ADDRESSES: \"" + EscapeForTerminal(address) +
                                          "\" is no http://localhost:PORT; plugins elsewhere are called over mutual "
                                          "TLS only");
  }
  sidecar.host = std::string(host);
  return sidecar;
}

}  // namespace

Result<std::vector<std::string>> ReadPluginNames(const std::string& names) {
  return ReadList(names, "ARGO_PLUGIN_NAMES");
}

Result<std::vector<ArgoSidecar>> ReadSidecars(const std::string& names, const std::string& addresses) {
  BULKHEAD_ASSIGN(const std::vector<std::string> containers, ReadPluginNames(names));
  BULKHEAD_ASSIGN(const std::vector<std::string> places, ReadList(addresses, "ARGO_PLUGIN_ADDRESSES"));
  if (containers.size() != places.size())
    return Error(Code::kInvalidInput, "ARGO_PLUGIN_NAMES and ARGO_PLUGIN_ADDRESSES must be of the same length");
  std::vector<ArgoSidecar> sidecars;
  for (size_t i = 0; i < places.size(); ++i) {
    BULKHEAD_ASSIGN(ArgoSidecar sidecar, ReadAddress(places[i]));
    sidecar.container = sidecar.plugin = containers[i];
    if (sidecar.plugin.size() > kSidecarSuffix.size() && sidecar.plugin.ends_with(kSidecarSuffix))
      sidecar.plugin.resize(sidecar.plugin.size() - kSidecarSuffix.size());
    sidecars.push_back(std::move(sidecar));
  }
  return sidecars;
}

}  // namespace bulkhead::source

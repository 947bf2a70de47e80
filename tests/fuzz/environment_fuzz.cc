// What Argo's controller and a pod's author say by environment variables, a line each: plugin names, their addresses,
// proxies, durations, quantities, addresses to listen on.
#include <algorithm>
#include <map>
#include <string>

#include "fuzz.h"
#include "runner/base/text.h"
#include "runner/gateway/listen.h"
#include "runner/http/proxy.h"
#include "runner/kube/config.h"
#include "runner/source/argo_environment.h"

using namespace bulkhead;

namespace {

void CheckSidecars(const std::string& names, const std::string& addresses) {
  const auto sidecars = source::ReadSidecars(names, addresses);
  if (!sidecars.ok()) {
    fuzz::Require(sidecars.error().message().starts_with("ARGO_PLUGIN_"), "an error names its variable");
    return;
  }
  const auto containers = source::ReadPluginNames(names);
  fuzz::Require(containers.ok() && containers->size() == sidecars->size(), "a sidecar for each name");
  for (const source::ArgoSidecar& sidecar : *sidecars) {
    fuzz::Require(sidecar.host == "localhost" || sidecar.host == "127.0.0.1" || sidecar.host == "::1",
                  "a sidecar is on loopback");
    fuzz::Require(sidecar.port != 0, "a sidecar has a port");
    fuzz::Require(sidecar.container.starts_with(sidecar.plugin), "a plugin has its container's name");
  }
}

void CheckText(const std::string& text) {
  if (const auto duration = ParseGoDuration(text); duration.has_value())
    fuzz::Require(ParseGoDuration(FormatGoDuration(*duration)) == duration, "a duration reads back");
  const auto units = ParseQuantity(text);
  const auto thousandths = ParseMilliQuantity(text);
  fuzz::Require(units.value_or(0) >= 0 && thousandths.value_or(0) >= 0, "no quantity is negative");
  if (units.has_value() && thousandths.has_value())
    fuzz::Require(*units >= *thousandths / 1000 && *units <= *thousandths / 1000 + 1, "both say the same quantity");
  if (const auto bytes = Base64Decode(text); bytes.has_value())
    fuzz::Require(Base64Encode(*bytes) == text, "base64 has one form");
  const std::string shown = EscapeForTerminal(text);
  fuzz::Require(IsValidUtf8(shown) && EscapeForTerminal(shown) == shown, "what is shown can be shown");
  if (const auto address = gateway::ParseListenAddress(text); address.ok()) {
    const auto again = gateway::ParseListenAddress(address->ToString());
    fuzz::Require(again.ok() && again->loopback == address->loopback, "an address reads back");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::string> lines = Split(fuzz::Text(data, size), '\n');
  lines.resize(std::max<size_t>(lines.size(), 4));
  CheckSidecars(lines[0], lines[1]);
  const auto env = [&](const char* name) {
    return std::string(name) == "KUBERNETES_SERVICE_HOST" ? lines[0] : lines[1];
  };
  if (const auto cluster = kube::InCluster(env, "/nonexistent"); !cluster.ok())
    fuzz::Require(!cluster.error().message().empty(), "a refusal has its reason");
  const auto url = http::ParseUrl("https://service.example:8443/path");
  const http::ProxySettings proxies = {lines[2], lines[2], lines[3]};
  if (const auto proxy = http::ProxyFor(proxies, *url); proxy.ok() && proxy->has_value())
    fuzz::Require(!(*proxy)->url.host.empty() && !(*proxy)->url.tls, "a proxy is http://host:port");
  for (const std::string& line : lines) CheckText(line);
  return 0;
}

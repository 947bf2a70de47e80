#include "runner/cli/outside.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "runner/agent/token_files.h"
#include "runner/base/text.h"
#include "runner/http/url.h"
#include "runner/source/argo_environment.h"

namespace bulkhead::cli {

namespace {

Error NotAllowed(const std::string& plugin, const std::string& host, uint16_t port) {
  return Error(Code::kPermissionDenied,
               "plugin \"" + plugin + "\" is a sidecar at http://" + host + ":" + std::to_string(port) +
                   ", outside any compartment and in plain HTTP, and no policy allows that; write spec.transport: "
                   "plaintext-loopback in every MutationPolicy with match.plugin.name \"" +
                   plugin + "\", or have the agent launch the plugin from its manifest");
}

bool IsPluginName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

}  // namespace

Status AddSidecars(const SidecarSettings& settings, const std::string& name_space, const policy::Holder& policies,
                   std::vector<Prepared>& prepared, std::vector<redact::NamedSecret>& secrets) {
  BULKHEAD_ASSIGN(const std::vector<source::ArgoSidecar> sidecars,
                  source::ReadSidecars(settings.names, settings.addresses));
  for (const source::ArgoSidecar& sidecar : sidecars) {
    Prepared plugin;
    plugin.config.spec.name = sidecar.plugin;
    plugin.config.notices.emplace_back("Argo's sidecar: no compartment, and plain HTTP on loopback");
    const bool allowed = policies.Get()->AllowsPlaintextLoopback(sidecar.plugin, name_space);
    if (!allowed) plugin.refusal = NotAllowed(sidecar.plugin, sidecar.host, sidecar.port);
    // Also of one that is not allowed yet: a policy may come that does, and what is to be masked is settled here.
    auto token = agent::ReadTokenFile(settings.token_folder, sidecar.container);
    if (!token.ok() && allowed) return token.error();
    Status readable = token.ok() ? OkStatus() : Status(token.error());
    if (token.ok()) {
      plugin.config.spec.token = std::string(token->Reveal());
      secrets.push_back({MaskName(sidecar.plugin + "/token"), std::move(*token)});
    }
    const auto admit = [&policies, name_space, sidecar, readable]() -> Status {
      if (!policies.Get()->AllowsPlaintextLoopback(sidecar.plugin, name_space))
        return NotAllowed(sidecar.plugin, sidecar.host, sidecar.port);
      return readable;
    };
    plugin.config.sidecar = agent::Sidecar{sidecar.host, sidecar.port, admit};
    prepared.push_back(std::move(plugin));
  }
  return OkStatus();
}

Status AddRemotePlugins(const std::vector<std::string>& remote, const std::string& name_space,
                        const certs::TlsFiles& files, std::vector<Prepared>& prepared) {
  if (!remote.empty() && (files.certificate.empty() || files.key.empty() || files.authorities.empty()))
    return Error(Code::kInvalidInput,
                 "--remote-plugin needs --tls-cert, --tls-key and --tls-ca: plugins elsewhere are called over mutual "
                 "TLS only");
  for (const std::string& text : remote) {
    const auto wrong = [&text](const std::string& why) {
      return Error(Code::kInvalidInput, "--remote-plugin " + EscapeForTerminal(text) + ": " + why);
    };
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (equals == std::string::npos || !IsPluginName(name))
      return wrong("write NAME=https://HOST:PORT, or NAME=https://HOST:PORT,spiffe://DOMAIN/PATH");
    const size_t comma = text.find(',', equals);
    const std::string uri = comma == std::string::npos ? PluginOfNamespace(name_space, name) : text.substr(comma + 1);
    if (!uri.starts_with("spiffe://")) return wrong("the plugin's identity must begin with spiffe://");
    auto url = http::ParseUrl(text.substr(equals + 1, comma == std::string::npos ? comma : comma - equals - 1));
    if (!url.ok()) return wrong(url.error().message());
    if (!url->tls || url->Target() != "/") return wrong("the address must be https://HOST:PORT and nothing more");
    Prepared plugin;
    plugin.config.spec.name = name;
    plugin.config.handles = {name};
    plugin.config.uri = uri;
    plugin.config.notices.push_back("runs elsewhere, at " + url->ForPeople() + ": what confines it there is not known");
    BULKHEAD_ASSIGN(std::unique_ptr<certs::RemoteContext> context, certs::RemoteContext::Load(files, uri));
    plugin.config.remote = agent::RemotePlugin{url->host, url->port, std::move(context)};
    prepared.push_back(std::move(plugin));
  }
  return OkStatus();
}

std::string PluginOfNamespace(const std::string& name_space, const std::string& name) {
  return "spiffe://" + std::string(kTrustDomain) + "/ns/" + name_space + "/plugin/" + name;
}

}  // namespace bulkhead::cli

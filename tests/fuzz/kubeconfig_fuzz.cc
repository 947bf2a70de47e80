// Kubeconfigs: what comes out goes into addresses and heads of requests.
#include <algorithm>

#include "fuzz.h"
#include "runner/kube/config.h"

using namespace bulkhead;

namespace {

bool IsPlain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bool outside = false;
  const kube::FileReader read = [&](const std::string& path) -> Result<std::string> {
    outside = outside || !path.starts_with('/');
    return std::string("file");
  };
  const auto config = kube::ParseKubeconfig(fuzz::Text(data, size), "/folder/f", "", read);
  fuzz::Require(!outside, "paths are of the kubeconfig's folder");
  if (!config.ok()) {
    fuzz::Require(!config.error().message().empty(), "a refusal has its reason");
    return 0;
  }
  fuzz::Require(!config->host.empty() && IsPlain(config->host) && config->port != 0, "a server has a host and a port");
  fuzz::Require(IsPlain(config->base_path) && (config->base_path.empty() || config->base_path.front() == '/'),
                "a base path is a path");
  fuzz::Require(IsPlain(config->token.Reveal()), "no token breaks its line");
  fuzz::Require(!config->server_name.empty() && !config->name_space.empty(), "what has a default is never empty");
  return 0;
}

// How a cluster's API server is reached: from inside a pod, or by a kubeconfig.
//
// In a pod: https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT, with the token, CA and namespace of
// /var/run/secrets/kubernetes.io/serviceaccount (kubernetes.io/docs/tasks/run-application/access-api-from-pod).
// From a kubeconfig: the current or a named context with token, tokenFile, client certificate, CA data or files,
// tls-server-name and namespace. What would weaken the connection (insecure-skip-tls-verify, plain http) and what
// would run programs (exec, auth-provider) is refused with a sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runner/base/result.h"
#include "runner/base/secret.h"

namespace bulkhead::kube {

struct ClusterConfig {
  std::string host;  // a name or an address, without brackets
  uint16_t port = 443;
  std::string base_path;       // what stands before "/api" in the server's URL; empty or "/..."
  std::string server_name;     // the name that its certificate is for
  std::string authorities;     // PEM; empty when authority_file is set, or for the system's roots
  std::string authority_file;  // read for each connection, since it is rotated
  std::string certificate;     // ours, PEM; empty: none
  Secret private_key;
  Secret token;            // a fixed bearer token; empty: none
  std::string token_file;  // or a file that is read again as it rotates
  std::string name_space;  // the default one

  ClusterConfig Clone() const;
};

// `env` looks up an environment variable and returns "" when it is not set. `folder`: of the service account,
// as above when empty. kInvalidInput, saying what is missing.
Result<ClusterConfig> InCluster(const std::function<std::string(const char*)>& env, const std::string& folder = {});

// The bytes of a file that a kubeconfig names.
using FileReader = std::function<Result<std::string>(const std::string& path)>;

// `context` empty: the current one. kInvalidInput with file and line; what `read` returns. `file`: for its folder, to
// which paths are relative, and for messages.
Result<ClusterConfig> ParseKubeconfig(std::string_view text, const std::string& file, const std::string& context,
                                      const FileReader& read);

// The same of a file.
Result<ClusterConfig> FromKubeconfig(const std::string& file, const std::string& context = {});

}  // namespace bulkhead::kube

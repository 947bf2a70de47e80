#include "runner/kube/config.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "runner/base/io.h"
#include "runner/base/text.h"
#include "runner/base/value.h"
#include "runner/base/yaml.h"

namespace bulkhead::kube {

namespace {

constexpr size_t kMostFile = 1U << 20U;
constexpr char kServiceAccount[] = "/var/run/secrets/kubernetes.io/serviceaccount";

Status ParsePort(std::string_view text, uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0)
    return Error(Code::kInvalidInput, "\"" + EscapeForTerminal(text) + "\" is no port");
  return OkStatus();
}

// Goes into a line of a request's head.
bool FitsHeader(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

// "https://host:port/base"
Status ParseServer(std::string_view url, ClusterConfig& config) {
  constexpr std::string_view kHttps = "https://";
  if (!url.starts_with(kHttps)) {
    return Error(Code::kInvalidInput, "server \"" + EscapeForTerminal(url) +
                                          "\" must begin with https://: nothing is said to a cluster in the clear");
  }
  url.remove_prefix(kHttps.size());
  const size_t slash = url.find('/');
  std::string_view authority = url.substr(0, slash);
  if (slash != std::string_view::npos) {
    config.base_path = std::string(url.substr(slash));
    while (!config.base_path.empty() && config.base_path.back() == '/') config.base_path.pop_back();
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return Error(Code::kInvalidInput, "server: \"[\" without \"]\"");
    config.host = std::string(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
    if (!port.empty() && port.front() != ':') return Error(Code::kInvalidInput, "server: only a port may follow \"]\"");
  } else {
    const size_t colon = authority.find(':');
    config.host = std::string(authority.substr(0, colon));
    port = colon == std::string_view::npos ? std::string_view() : authority.substr(colon);
  }
  if (config.host.empty() || config.host.find_first_of("@?#") != std::string::npos)
    return Error(Code::kInvalidInput, "server \"" + EscapeForTerminal(url) + "\" names no host");
  if (!FitsHeader(url) || config.base_path.find_first_of("?#") != std::string::npos)
    return Error(Code::kInvalidInput,
                 "server \"" + EscapeForTerminal(url) + "\" has characters that no URL may have here");
  if (!port.empty()) BULKHEAD_TRY(ParsePort(port.substr(1), config.port));
  config.server_name = config.host;
  return OkStatus();
}

class KubeconfigReader {
 public:
  KubeconfigReader(const std::string& file, const Value& document, const FileReader& read)
      : file_(file), document_(document), read_(read) {}

  Result<ClusterConfig> Read(std::string name) {
    if (name.empty()) name = Text(document_, "current-context");
    if (name.empty()) return Error(Code::kInvalidInput, file_ + ": there is no current-context; name one");
    BULKHEAD_ASSIGN(const Value* context, Named("contexts", name, "context"));
    BULKHEAD_ASSIGN(const Value* cluster, Named("clusters", Text(*context, "cluster"), "cluster"));
    config_.name_space = Text(*context, "namespace");
    if (config_.name_space.empty()) config_.name_space = "default";
    BULKHEAD_TRY(ReadCluster(*cluster));
    const std::string user_name = Text(*context, "user");
    if (!user_name.empty()) {
      BULKHEAD_ASSIGN(const Value* user, Named("users", user_name, "user"));
      BULKHEAD_TRY(ReadUser(*user));
    }
    return std::move(config_);
  }

 private:
  Error At(const Value& value, const std::string& what) const {
    return Error(Code::kInvalidInput, Place(file_, value.at) + ": " + what);
  }

  static std::string Text(const Value& object, std::string_view key) {
    const Value* const value = object.Find(key);
    return value != nullptr && value->is_string() ? value->text : "";
  }

  // The member `what` of the entry called `name` of a list.
  Result<const Value*> Named(std::string_view list, const std::string& name, std::string_view what) const {
    if (const Value* const entries = document_.Find(list); entries != nullptr && entries->is_array()) {
      for (const Value& entry : entries->items) {
        const Value* const value = entry.Find(what);
        if (Text(entry, "name") == name && value != nullptr && value->is_object()) return value;
      }
    }
    return Error(Code::kInvalidInput, file_ + ": " + std::string(list) + " has no \"" + EscapeForTerminal(name) + "\"");
  }

  // Paths of a kubeconfig are relative to its folder.
  std::string PathOf(const Value& object, std::string_view key) const {
    std::string path = Text(object, key);
    if (path.empty() || path.front() == '/') return path;
    return (std::filesystem::path(file_).parent_path() / path).string();
  }

  // `<key>-data` in base64, or the file `<key>`.
  Result<std::string> DataOrFile(const Value& object, const std::string& key) const {
    const std::string data = Text(object, key + "-data");
    if (!data.empty()) {
      auto bytes = Base64Decode(data);
      if (!bytes.has_value()) return At(object, key + "-data is not base64");
      return std::move(*bytes);
    }
    const std::string path = PathOf(object, key);
    if (path.empty()) return std::string();
    return read_(path);
  }

  Status ReadCluster(const Value& cluster) {
    const Value* const insecure = cluster.Find("insecure-skip-tls-verify");
    if (insecure != nullptr && insecure->boolean)
      return At(*insecure, "insecure-skip-tls-verify is refused; give certificate-authority(-data)");
    if (const Value* const proxy = cluster.Find("proxy-url")) return At(*proxy, "proxy-url is not supported");
    if (auto status = ParseServer(Text(cluster, "server"), config_); !status.ok())
      return At(cluster, status.error().message());
    const std::string server_name = Text(cluster, "tls-server-name");
    if (!server_name.empty()) config_.server_name = server_name;
    BULKHEAD_ASSIGN(config_.authorities, DataOrFile(cluster, "certificate-authority"));
    return OkStatus();
  }

  Status ReadUser(const Value& user) {
    for (const std::string_view runs : {"exec", "auth-provider", "username"}) {
      if (const Value* const refused = user.Find(runs))
        return At(*refused, std::string(runs) + " is not supported; use a token, a tokenFile or a client certificate");
    }
    config_.token = Secret(Text(user, "token"));
    if (!FitsHeader(config_.token.Reveal())) return At(user, "the token has characters that no header may hold");
    if (config_.token.empty()) config_.token_file = PathOf(user, "tokenFile");
    BULKHEAD_ASSIGN(config_.certificate, DataOrFile(user, "client-certificate"));
    BULKHEAD_ASSIGN(std::string key, DataOrFile(user, "client-key"));
    config_.private_key = Secret(std::move(key));
    return OkStatus();
  }

  const std::string& file_;
  const Value& document_;
  const FileReader& read_;
  ClusterConfig config_;
};

}  // namespace

ClusterConfig ClusterConfig::Clone() const {
  return {host,          port,           base_path,   server_name,
          authorities,   authority_file, certificate, private_key.Clone(),
          token.Clone(), token_file,     name_space};
}

Result<ClusterConfig> InCluster(const std::function<std::string(const char*)>& env, const std::string& folder) {
  const std::string place = folder.empty() ? kServiceAccount : folder;
  ClusterConfig config;
  config.host = env("KUBERNETES_SERVICE_HOST");
  const std::string port = env("KUBERNETES_SERVICE_PORT");
  if (config.host.empty() || port.empty()) {
    return Error(Code::kInvalidInput,
                 "this is no pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set); give --kubeconfig");
  }
  if (!FitsHeader(config.host)) {
    return Error(Code::kInvalidInput,
                 "KUBERNETES_SERVICE_HOST \"" + EscapeForTerminal(config.host) + "\" is no host's name or address");
  }
  if (auto status = ParsePort(port, config.port); !status.ok())
    return status.error().WithContext("KUBERNETES_SERVICE_PORT");
  config.server_name = config.host;
  config.authority_file = place + "/ca.crt";
  config.token_file = place + "/token";
  auto name_space = ReadFile(place + "/namespace", kMostFile);
  if (!name_space.ok()) {
    return Error(Code::kInvalidInput, "the pod has no service account (" + name_space.error().message() +
                                          "); mount its token at " + place + ", as Argo's agent pod does");
  }
  config.name_space = std::move(*name_space);
  while (!config.name_space.empty() && config.name_space.back() == '\n') config.name_space.pop_back();
  return config;
}

Result<ClusterConfig> ParseKubeconfig(std::string_view text, const std::string& file, const std::string& context,
                                      const FileReader& read) {
  BULKHEAD_ASSIGN(const std::vector<Value> documents, ParseYaml(text, file));
  if (documents.size() != 1 || !documents.front().is_object())
    return Error(Code::kInvalidInput, file + ": a kubeconfig is one YAML mapping");
  return KubeconfigReader(file, documents.front(), read).Read(context);
}

Result<ClusterConfig> FromKubeconfig(const std::string& file, const std::string& context) {
  auto text = ReadFile(file, kMostFile);
  if (!text.ok()) return Error(Code::kInvalidInput, "--kubeconfig " + text.error().message());
  return ParseKubeconfig(*text, file, context, [](const std::string& path) { return ReadFile(path, kMostFile); });
}

}  // namespace bulkhead::kube

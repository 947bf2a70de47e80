#include "runner/cli/prepare.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "certs/identity.h"
#include "runner/base/io.h"
#include "runner/base/secret.h"
#include "runner/base/text.h"
#include "runner/cli/print.h"

namespace bulkhead::cli {

namespace {

constexpr size_t kTokenLength = 32;  // as Argo's agent init makes them
constexpr size_t kMostSecretBytes = 64U << 10U;

}  // namespace

Result<RootFolders> ReadRootFolders(const std::vector<std::string>& pairs) {
  RootFolders folders;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 >= pair.size() || pair[equals + 1] != '/') {
      return Error(Code::kInvalidInput, "--rootfs " + pair + ": write PLUGIN=/absolute/folder");
    }
    folders[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return folders;
}

std::optional<sandbox::Tier> TierOption(std::string_view text) {
  if (text == "strict") return sandbox::Tier::kStrict;
  if (text == "restricted") return sandbox::Tier::kRestricted;
  return std::nullopt;
}

Result<std::chrono::nanoseconds> PositiveDuration(const std::string& text, std::string_view flag) {
  const auto duration = ParseGoDuration(text);
  if (!duration.has_value() || duration->count() <= 0) {
    return Error(Code::kInvalidInput,
                 std::string(flag) + " " + text + ": must be a positive duration such as 90s, 5m or 1h30m");
  }
  return *duration;
}

std::string MaskName(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                       c == '_' || c == '-' || c == '/';
    out += plain ? c : '_';
  }
  return out;
}

Status ReadSecretFiles(const std::vector<std::string>& files, std::vector<redact::NamedSecret>& secrets) {
  for (const std::string& file : files) {
    auto text = ReadFile(file, kMostSecretBytes);
    if (!text.ok()) return Error(Code::kInvalidInput, "--secret-file " + text.error().message());
    while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
    if (text->empty()) return Error(Code::kInvalidInput, "--secret-file " + file + ": the file is empty");
    secrets.push_back({MaskName(std::filesystem::path(file).filename().string()), Secret(std::move(*text))});
  }
  return OkStatus();
}

Status CheckRootfs(const RootFolders& rootfs, const std::vector<agent::PluginManifest>& plugins) {
  for (const auto& [name, folder] : rootfs) {
    const bool known = std::any_of(plugins.begin(), plugins.end(),
                                   [&wanted = name](const auto& plugin) { return plugin.name == wanted; });
    if (!known)
      return Error(Code::kInvalidInput, "--rootfs " + name + "=" + folder + ": there is no plugin \"" + name + "\"");
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error))
      return Error(Code::kInvalidInput, "--rootfs " + name + "=" + folder + ": no such folder");
  }
  return OkStatus();
}

Result<Prepared> Prepare(agent::PluginManifest& manifest, std::optional<sandbox::Tier> tier, const RootFolders& rootfs,
                         const sandbox::TierReport& tiers, const agent::WorkflowRef& identity,
                         std::vector<redact::NamedSecret>& secrets) {
  const Secret token = RandomToken(kTokenLength);
  secrets.push_back({MaskName(manifest.name + "/token"), token.Clone()});
  for (const agent::EnvVar& variable : manifest.env) {
    if (variable.secret && !variable.value.empty())
      secrets.push_back({MaskName(variable.secret_name), Secret(variable.value)});
  }
  Prepared prepared;
  prepared.config.handles = manifest.handles;
  prepared.config.methods = manifest.methods;
  BULKHEAD_ASSIGN(prepared.config.uri,
                  certs::PluginUri(kTrustDomain, identity.name_space, identity.name, manifest.name));

  auto chosen = agent::ChooseTier(tier, sandbox::BestTier(tiers), tiers.strict, tiers.restricted, manifest);
  if (!chosen.ok()) {
    prepared.refusal = chosen.error();
    prepared.config.spec.name = manifest.name;
    prepared.config.spec.tier = manifest.minimum_tier.value_or(tier.value_or(sandbox::Tier::kStrict));
    return prepared;
  }
  const auto folder = rootfs.find(manifest.name);
  const bool has_rootfs = folder != rootfs.end();
  BULKHEAD_ASSIGN(prepared.config.spec,
                  agent::MakeCompartment(manifest, *chosen, has_rootfs ? folder->second : "", token.Reveal()));
  if (const size_t at = manifest.image.find("@sha256:"); has_rootfs && at != std::string::npos)
    prepared.config.image_digest = manifest.image.substr(at + 1);
  if (!manifest.image.empty() && !has_rootfs) {
    manifest.notices.push_back("image " + manifest.image +
                               " is not run here: a read-only view of the host's root serves instead; --rootfs " +
                               manifest.name + "=DIR gives it another");
  }
  if (auto valid = sandbox::Validate(prepared.config.spec); !valid.ok())
    return valid.error().WithContext(manifest.file);
  prepared.config.notices = manifest.notices;
  return prepared;
}

audit::Record StartRecord(std::optional<sandbox::Tier> tier, const policy::PolicySet& policies,
                          const sandbox::TierReport& tiers) {
  Value fields = Value::Object();
  fields.Set("version", Value::String(BULKHEAD_VERSION));
  fields.Set("policyDigest", Value::String(policies.Digest()));
  Value names = Value::Array();
  for (const std::string& name : policies.Names()) names.items.push_back(Value::String(name));
  fields.Set("policies", std::move(names));
  fields.Set("tierRequested", Value::String(tier.has_value() ? std::string(sandbox::TierName(*tier)) : "auto"));
  Value available = Value::Array();
  if (tiers.strict) available.items.push_back(Value::String("strict"));
  if (tiers.restricted) available.items.push_back(Value::String("restricted"));
  fields.Set("tiers", std::move(available));
  return {audit::Event::kAgentStart, std::move(fields)};
}

Status TellRefusal(const Prepared& plugin, audit::AuditLog& audit, Metrics& metrics) {
  if (!plugin.refusal.has_value()) return OkStatus();
  const std::string& name = plugin.config.spec.name;
  Value fields = Value::Object();
  fields.Set("plugin", Value::String(name));
  fields.Set("reason", Value::String(plugin.refusal->message()));
  BULKHEAD_TRY(audit.AppendSync({audit::Event::kTierRefused, std::move(fields)}));
  metrics.Add("bulkhead_tier_refused_total", MetricLabel("plugin", name));
  PrintError("error: " + EscapeForTerminal(plugin.refusal->message()));
  return OkStatus();
}

}  // namespace bulkhead::cli

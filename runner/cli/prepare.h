// What the verbs that run plugins share, from manifests to plugins that can be started.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"
#include "runner/agent/plugin_host.h"
#include "runner/agent/plugin_manifest.h"
#include "runner/agent/task.h"
#include "runner/audit/audit_log.h"
#include "runner/base/metrics.h"
#include "runner/base/result.h"
#include "runner/redact/redactor.h"

namespace bulkhead::cli {

inline constexpr std::string_view kTrustDomain = "bulkhead.local";

// Folders that stand for plugins' images, by plugin name.
using RootFolders = std::map<std::string, std::string>;

// "PLUGIN=/absolute/folder" each.
Result<RootFolders> ReadRootFolders(const std::vector<std::string>& pairs);

// "strict" or "restricted"; nullopt for "auto".
std::optional<sandbox::Tier> TierOption(std::string_view text);

// kInvalidInput naming the flag unless it is a Go duration over zero.
Result<std::chrono::nanoseconds> PositiveDuration(const std::string& text, std::string_view flag);

// The name of a secret in the form that its mask may have.
std::string MaskName(std::string_view name);

// Each file's content, without the line end that editors add, as a secret to be masked.
Status ReadSecretFiles(const std::vector<std::string>& files, std::vector<redact::NamedSecret>& secrets);

// That each names a plugin and a folder that is there.
Status CheckRootfs(const RootFolders& rootfs, const std::vector<agent::PluginManifest>& plugins);

// A plugin's configuration, or why it is not started: then its tasks fail with that reason and the
// others go on.
struct Prepared {
  agent::PluginConfig config;
  std::optional<Error> refusal;
};

// Gives the plugin a token, and adds what it must not tell to `secrets`. `tier`: the one asked for, or the best.
Result<Prepared> Prepare(agent::PluginManifest& manifest, std::optional<sandbox::Tier> tier, const RootFolders& rootfs,
                         const sandbox::TierReport& tiers, const agent::WorkflowRef& identity,
                         std::vector<redact::NamedSecret>& secrets);

// The record agent.start.
audit::Record StartRecord(std::optional<sandbox::Tier> tier, const policy::PolicySet& policies,
                          const sandbox::TierReport& tiers);

// Records, counts and prints that a plugin is not started for want of its tier; nothing when it is.
Status TellRefusal(const Prepared& plugin, audit::AuditLog& audit, Metrics& metrics);

}  // namespace bulkhead::cli

#include "runner/agent/plugin_manifest.h"

#include <algorithm>

#include "runner/agent/program.h"
#include "runner/base/yaml.h"

namespace bulkhead::agent {

namespace {

constexpr std::string_view kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

bool Sets(const std::vector<EnvVar>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(), [&](const EnvVar& variable) { return variable.name == name; });
}

}  // namespace

Result<sandbox::Tier> ChooseTier(std::optional<sandbox::Tier> requested, Result<sandbox::Tier> best,
                                 bool strict_available, bool restricted_available, const PluginManifest& manifest) {
  if (!requested.has_value() && !best.ok()) return std::move(best).error();
  const sandbox::Tier tier = requested.has_value() ? *requested : *best;
  const std::string place = Place(manifest.file, manifest.at);
  const bool available = tier == sandbox::Tier::kStrict ? strict_available : restricted_available;
  if (!available) {
    return Error(Code::kUnsupported, place + ": plugin \"" + manifest.name + "\" is not started: tier " +
                                         std::string(sandbox::TierName(tier)) +
                                         " is not available here; `bulkhead doctor` tells which layer is missing");
  }
  if (manifest.minimum_tier.has_value() && tier < *manifest.minimum_tier) {
    return Error(Code::kUnsupported,
                 place + ": plugin \"" + manifest.name + "\" is not started: it accepts no less than tier " +
                     std::string(sandbox::TierName(*manifest.minimum_tier)) + " (bulkhead.dev/minimum-tier), and " +
                     (requested.has_value() ? "--tier asks for " : "the best there is here is ") +
                     std::string(sandbox::TierName(tier)));
  }
  return tier;
}

Result<sandbox::SandboxSpec> MakeCompartment(PluginManifest& manifest, sandbox::Tier tier, const std::string& rootfs,
                                             std::string_view token) {
  const std::string place = Place(manifest.file, manifest.at);
  sandbox::SandboxSpec spec;
  spec.name = manifest.name;
  spec.tier = tier;
  spec.argv = manifest.command;
  spec.argv.insert(spec.argv.end(), manifest.args.begin(), manifest.args.end());
  spec.working_dir = manifest.working_dir;
  spec.rootfs = rootfs;
  spec.ports = manifest.ports;
  spec.serve_port = manifest.ports.empty() ? 0 : manifest.ports.front();
  spec.token = std::string(token);
  spec.seccomp_profile = manifest.seccomp_profile;

  if (tier == sandbox::Tier::kRestricted) {
    if (!rootfs.empty()) {
      return Error(Code::kInvalidInput, place + ": plugin \"" + manifest.name +
                                            "\" has a --rootfs, which tier restricted cannot give (it has no mount "
                                            "namespace); use --tier strict or drop --rootfs");
    }
    if (manifest.uid.has_value() && *manifest.uid == 0) {
      return Error(Code::kInvalidInput, place + ": plugin \"" + manifest.name +
                                            "\" has runAsUser 0, which tier restricted cannot give (it has no user "
                                            "namespace); set another user or use --tier strict");
    }
  }
  if (manifest.uid.has_value()) spec.uid = *manifest.uid;
  if (manifest.gid.has_value()) {
    spec.gid = *manifest.gid;
  } else if (manifest.uid.has_value()) {
    spec.gid = *manifest.uid;
  }
  if (manifest.run_as_non_root && spec.uid == 0) {
    return Error(Code::kInvalidInput, place + ": plugin \"" + manifest.name +
                                          "\" has runAsNonRoot: true and runAsUser: 0; Kubernetes refuses this too");
  }
  if (manifest.memory_bytes.has_value()) spec.limits.memory_bytes = *manifest.memory_bytes;
  if (manifest.cpu_millis.has_value()) spec.limits.cpu_millis = *manifest.cpu_millis;
  if (manifest.scratch_bytes.has_value()) spec.limits.scratch_bytes = *manifest.scratch_bytes;

  if (!Sets(manifest.env, "PATH")) spec.env.emplace_back(kDefaultPath);
  for (const EnvVar& variable : manifest.env) spec.env.push_back(variable.name + "=" + variable.value);
  BULKHEAD_TRY(FindProgram(manifest, spec));
  return spec;
}

}  // namespace bulkhead::agent

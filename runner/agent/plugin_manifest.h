// PluginManifest: what an ExecutorPlugin manifest asks for, as plain data with secrets resolved. Made by
// runner/source, turned into a compartment by MakeCompartment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/secret.h"
#include "runner/base/value.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::agent {

struct EnvVar {
  std::string name;
  std::string value;
  bool secret = false;      // the value comes from a Secret: it is masked wherever it turns up
  std::string secret_name;  // "<secret>/<key>" when secret
};

struct PluginManifest {
  std::string name;  // the plugin's name, without "-executor-plugin"
  std::string file;
  Position at;
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::vector<EnvVar> env;
  std::string working_dir;
  std::vector<uint16_t> ports;            // containerPort; the first is the one that is called
  std::optional<uint64_t> memory_bytes;   // resources.limits.memory
  std::optional<uint64_t> cpu_millis;     // resources.limits.cpu
  std::optional<uint64_t> scratch_bytes;  // resources.limits.ephemeral-storage
  std::optional<uint32_t> uid;            // securityContext.runAsUser
  std::optional<uint32_t> gid;            // securityContext.runAsGroup
  bool run_as_non_root = false;
  // Annotations.
  std::vector<std::string> handles;           // bulkhead.dev/handles: keys of template.plugin; empty: all are asked
  std::vector<std::string> methods;           // bulkhead.dev/methods: RPC methods it answers; empty: template.execute
  std::optional<sandbox::Tier> minimum_tier;  // bulkhead.dev/minimum-tier
  std::string seccomp_profile = "default";    // bulkhead.dev/seccomp-profile
  // What is not done as the manifest says, one sentence each, shown before the run.
  std::vector<std::string> notices;
};

// The tier a plugin gets: the one requested, or the best there is; kUnsupported with the reasons when
// that can't be had or is under the plugin's own minimum. Never a lower one.
Result<sandbox::Tier> ChooseTier(std::optional<sandbox::Tier> requested, Result<sandbox::Tier> best,
                                 bool strict_available, bool restricted_available, const PluginManifest& manifest);

// The compartment for a manifest in a tier. `rootfs` is the folder given with --rootfs, or empty. May
// add to the manifest's notices. kInvalidInput, naming file and line, for what the tier can't honour.
Result<sandbox::SandboxSpec> MakeCompartment(PluginManifest& manifest, sandbox::Tier tier, const std::string& rootfs,
                                             std::string_view token);

}  // namespace bulkhead::agent

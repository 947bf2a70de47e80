// Plan: what bulkhead-init has to do, decided in full by the launcher. It travels in a sealed memory
// file, so that init parses nothing that others could have written and decides nothing itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/sandbox/landlock_apply.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {

// The kinds of namespaces that strict makes, as /proc/<pid>/ns names them.
inline constexpr std::array<const char*, 7> kNamespaces = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};

// One entry of the compartment's root.
struct MountEntry {
  enum class Kind : uint8_t { kBind, kSymlink, kFile, kFolder };
  Kind kind = Kind::kBind;
  std::string target;    // absolute, inside
  std::string source;    // kBind: a host path; kSymlink: where it leads; kFile: the content
  bool required = true;  // kBind: whether a missing source is an error
};

struct IdRange {
  uint32_t inside = 0;
  uint32_t outside = 0;
};

struct Plan {
  Tier tier = Tier::kStrict;
  std::string name;
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string working_dir;
  uint32_t uid = 0;  // of the plugin, inside
  uint32_t gid = 0;
  bool switch_user = false;  // restricted: become uid/gid (the launcher is root)
  uint16_t serve_port = 0;
  std::string token;           // strict: written to /run/argo/token
  bool keep_token_fd = false;  // restricted: descriptor kTokenFd is the plugin's

  // strict
  std::vector<IdRange> uids, gids;
  bool deny_setgroups = false;  // the launcher is not root: the kernel demands it (user_namespaces(7))
  std::vector<MountEntry> mounts;
  uint64_t scratch_bytes = 0;

  uint32_t cgroup_files = 0;  // so many come over kSuppliesFd
  Limits limits;
  bool watch_memory = false;  // no cgroup does it

  bool landlock = false;
  bool landlock_comes = false;  // restricted: the ruleset comes over kSuppliesFd
  // strict, where the paths are the compartment's own: flat as MakeLandlockRuleset takes it.
  uint64_t handled_fs = 0, handled_net = 0, scoped = 0;
  std::string landlock_paths;
  std::vector<LandlockPathRule> path_rules;
  std::vector<LandlockPortRule> port_rules;
  bool signal_guard = false;

  std::string filter;  // struct sock_filter[] for the plugin
  bool filter_notifies = false;
  std::string shim_filter;  // for the shim itself

  std::array<uint64_t, kNamespaces.size()> launcher_namespaces = {};  // inode numbers; 0: unknown
};

std::string SerializePlan(const Plan& plan);
// nullopt when the bytes are not a whole plan.
std::optional<Plan> ParsePlan(std::string_view bytes);

}  // namespace bulkhead::sandbox

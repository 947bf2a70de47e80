// SandboxSpec: everything that describes one compartment, as plain data. A default-constructed spec
// grants nothing: no ports, no network, no writable place but the scratch folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::sandbox {

// Ordered: a higher tier isolates more.
enum class Tier : uint8_t { kRestricted = 1, kStrict = 2 };
std::string_view TierName(Tier tier);  // "restricted", "strict"

struct Limits {
  uint64_t memory_bytes = 512ULL << 20U;  // cgroup memory limit (strict); RLIMIT_DATA and memory watch (restricted)
  uint64_t cpu_millis = 1000;             // cgroup cpu quota, thousandths of a core; 0: no quota
  uint64_t pids = 128;                    // processes and threads
  uint64_t open_files = 1024;             // RLIMIT_NOFILE
  uint64_t file_bytes = 256ULL << 20U;    // RLIMIT_FSIZE, one file
  uint64_t scratch_bytes = 64ULL << 20U;  // size of the private tmpfs (strict)

  bool operator==(const Limits&) const = default;
};

struct SandboxSpec {
  std::string name;  // the plugin's name, for messages; [a-z0-9.-]
  Tier tier = Tier::kStrict;
  std::vector<std::string> argv;  // argv[0] is looked up in PATH of `env` inside the compartment
  std::vector<std::string> env;   // the whole environment, "KEY=value"; nothing is inherited
  std::string working_dir;        // inside the compartment; empty: "/"
  std::string rootfs;             // a folder to use as read-only root; empty: a view of the host's root
  std::vector<std::string>
      shown;  // strict, view of the host's root: absolute paths of host files or folders also
              // bound read-only at the same place (a plugin's own program); Landlock read+execute in restricted
  uint32_t uid = 8737;  // inside the compartment; 0 only in strict
  uint32_t gid = 8737;
  std::vector<uint16_t> ports;              // TCP ports that may be bound
  uint16_t serve_port = 0;                  // where the plugin answers HTTP; 0: no shim, a plain confined command
  std::string token;                        // content of /var/run/argo/token; empty: no such file. Secret.
  std::string seccomp_profile = "default";  // a name of SeccompProfileNames()
  Limits limits;
};

// The spec as a JSON value for `bulkhead run -v`, audit and tests. The token, and the values of the
// environment, are replaced by "***".
Value ToValue(const SandboxSpec& spec);

// Checks what does not depend on the place: names, non-empty argv, ports, uid 0 only in strict, ...
Status Validate(const SandboxSpec& spec);

}  // namespace bulkhead::sandbox

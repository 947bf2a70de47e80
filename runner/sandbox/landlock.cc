#include "runner/sandbox/landlock.h"

#include <algorithm>
#include <array>

#include "runner/sandbox/kernel_abi.h"

namespace bulkhead::sandbox {

namespace {

constexpr uint64_t kReadOnly = abi::kFsReadFile | abi::kFsReadDir;
constexpr uint64_t kReadExecute = kReadOnly | abi::kFsExecute;
constexpr uint64_t kDevice = abi::kFsReadFile | abi::kFsWriteFile | abi::kFsIoctlDev;

// Everything in a folder but devices, which nobody makes without privilege.
constexpr uint64_t kScratch = kReadExecute | abi::kFsWriteFile | abi::kFsRemoveDir | abi::kFsRemoveFile |
                              abi::kFsMakeDir | abi::kFsMakeReg | abi::kFsMakeSock | abi::kFsMakeFifo |
                              abi::kFsMakeSym | abi::kFsRefer | abi::kFsTruncate;

// What a restricted plugin sees of the host: programs, libraries, and what runtimes read at start.
constexpr auto kSystemFolders =
    std::to_array<const char*>({"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt"});
constexpr auto kSystemFiles = std::to_array<const char*>({
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/alternatives",
    "/etc/services",
    "/etc/protocols",
    "/etc/mime.types",
    "/etc/locale.alias",
    "/etc/python3",
    "/etc/python3.11",
    "/etc/python3.12",
    "/etc/os-release",
    "/etc/debian_version",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/sys/devices/system/cpu",
});

}  // namespace

uint64_t HandledFs(int abi) {
  if (abi < 1) return 0;
  uint64_t rights = (abi::kFsMakeSym << 1U) - 1;  // ABI 1: all up to kFsMakeSym
  if (abi >= 2) rights |= abi::kFsRefer;
  if (abi >= 3) rights |= abi::kFsTruncate;
  if (abi >= 5) rights |= abi::kFsIoctlDev;
  return rights;
}

uint64_t HandledNet(int abi) {
  return abi >= 4 ? abi::kNetBindTcp | abi::kNetConnectTcp : 0;
}

uint64_t HandledScopes(int abi) {
  return abi >= 6 ? abi::kScopeAbstractUnixSocket | abi::kScopeSignal : 0;
}

LandlockPlan PlanLandlock(const SandboxSpec& spec, const KernelFeatures& features, const std::string& scratch_dir) {
  LandlockPlan plan;
  plan.abi = features.landlock_abi;
  plan.handled_fs = HandledFs(plan.abi);
  plan.handled_net = HandledNet(plan.abi);
  plan.scoped = HandledScopes(plan.abi);
  if (plan.abi < 1) return plan;
  const auto path = [&](const std::string& where, uint64_t access, bool required) {
    plan.paths.push_back({where, access & plan.handled_fs, required});
  };
  if (spec.tier == Tier::kStrict) {
    path("/", kReadExecute, true);
    path("/tmp", kScratch, true);
    path("/dev/shm", kScratch, true);
  } else {
    for (const char* const folder : kSystemFolders) path(folder, kReadExecute, false);
    for (const char* const file : kSystemFiles) path(file, kReadOnly, false);
    for (const std::string& shown : spec.shown) path(shown, kReadExecute, true);
    if (!spec.argv.empty() && spec.argv.front().starts_with('/'))
      path(spec.argv.front(), abi::kFsReadFile | abi::kFsExecute, false);
  }
  path("/dev/null", kDevice, false);
  if (!scratch_dir.empty()) path(scratch_dir, kScratch, true);
  for (const uint16_t port : spec.ports) {
    if (plan.handled_net != 0) plan.ports.push_back({port, abi::kNetBindTcp});
  }
  return plan;
}

FlatLandlock::FlatLandlock(const LandlockPlan& plan)
    : handled_fs_(plan.handled_fs), handled_net_(plan.handled_net), scoped_(plan.scoped) {
  for (const LandlockPlan::Path& rule : plan.paths) {
    path_rules_.push_back({rule.access, static_cast<uint32_t>(paths_.size()), rule.required ? 1U : 0U});
    paths_ += rule.path;
    paths_ += '\0';
  }
  for (const LandlockPlan::Port& rule : plan.ports) port_rules_.push_back({rule.access, rule.port});
}

LandlockView FlatLandlock::View() const {
  return {handled_fs_,        handled_net_,       scoped_,       path_rules_.data(), path_rules_.size(),
          port_rules_.data(), port_rules_.size(), paths_.data(), paths_.size()};
}

std::string DescribeRule(const LandlockPlan& plan, size_t failed_rule) {
  if (failed_rule == kLandlockCreate) return "the ruleset";
  if (failed_rule < plan.paths.size())
    return "path " + plan.paths[failed_rule].path + (plan.paths[failed_rule].required ? " (required)" : "");
  const size_t port = failed_rule - plan.paths.size();
  return port < plan.ports.size() ? "port " + std::to_string(plan.ports[port].port) : "a rule";
}

}  // namespace bulkhead::sandbox

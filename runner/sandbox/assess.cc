// From features to tiers: which layer does what in which tier, and what would lift it.
#include "runner/sandbox/kernel_features.h"

namespace bulkhead::sandbox {

namespace {

std::string ReasonFor(const KernelFeatures& features, std::string_view layer) {
  for (const std::string& reason : features.reasons) {
    if (reason.starts_with(std::string(layer) + ": ")) return reason.substr(layer.size() + 2);
  }
  return "not available here";
}

LayerReport Namespaces(const KernelFeatures& features) {
  LayerReport report = {"namespaces", "user, mnt, pid, net, ipc, uts, cgroup", "none are needed", true, true, ""};
  report.strict_ok = features.user_namespaces && features.all_namespaces && features.mount_proc;
  if (!report.strict_ok) {
    report.strict = ReasonFor(features, "namespaces");
    report.lift =
        "run as root, or allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone), and in a "
        "container give it an unmasked /proc (securityContext.procMount: Unmasked)";
  }
  return report;
}

LayerReport FileSystem(const KernelFeatures& features) {
  LayerReport report = {"file system",
                        "own root, read-only, private tmpfs; Landlock inside",
                        "Landlock ABI " + std::to_string(features.landlock_abi),
                        true,
                        true,
                        ""};
  report.restricted_ok = features.landlock_abi >= 1;
  report.strict_ok = features.all_namespaces && features.landlock_abi >= 1;
  if (features.landlock_abi < 1) {
    report.strict = report.restricted = ReasonFor(features, "file system");
    report.lift = "use Linux 5.13 or newer with Landlock enabled (boot parameter lsm=...,landlock)";
  } else if (!report.strict_ok) {
    report.strict = "needs a mount namespace";
  }
  return report;
}

LayerReport Network(const KernelFeatures& features) {
  LayerReport report = {"network",
                        "own network namespace, only the shim's way in",
                        "Landlock: binds its own port, connects nowhere; seccomp: TCP only",
                        true,
                        true,
                        ""};
  report.strict_ok = features.all_namespaces;
  if (!report.strict_ok) report.strict = "needs a network namespace";
  if (features.landlock_abi < 4) {
    report.restricted = "seccomp refuses connect; which port is bound can't be limited";
    report.lift = "Linux 6.7 or newer lets Landlock limit the ports a restricted plugin binds";
  }
  report.restricted_ok = features.seccomp_filter;
  return report;
}

LayerReport OtherProcesses(const KernelFeatures& features) {
  LayerReport report = {"other processes",
                        "own pid namespace; agent and shim not dumpable",
                        "Landlock scopes signals; ptrace and /proc of others refused",
                        true,
                        true,
                        ""};
  report.strict_ok = features.all_namespaces;
  if (!report.strict_ok) report.strict = "needs a pid namespace";
  if (features.landlock_abi < 6) {
    report.restricted = "seccomp refuses signals to others (children can't signal each other either)";
    report.lift = "Linux 6.12 or newer lets Landlock scope signals";
  }
  report.restricted_ok = features.landlock_abi >= 1 && features.seccomp_filter;
  return report;
}

LayerReport SystemCalls(const KernelFeatures& features) {
  const std::string how = features.seccomp_user_notify ? "seccomp allow-list; a violation is named and kills"
                                                       : "seccomp allow-list; a violation kills";
  LayerReport report = {"system calls", how, how, features.seccomp_filter, features.seccomp_filter, ""};
  if (!features.seccomp_filter) {
    report.strict = report.restricted = ReasonFor(features, "system calls");
    report.lift = "use a kernel with CONFIG_SECCOMP_FILTER";
  }
  return report;
}

LayerReport Privileges() {
  const std::string how = "no capabilities in any set, securebits locked, no_new_privs";
  return {"privileges", how, how, true, true, ""};
}

LayerReport Resources(const KernelFeatures& features) {
  const std::string group = "cgroup v" + std::to_string(features.cgroup_version) + " and rlimits";
  LayerReport report = {"resources", group, group, true, true, ""};
  if (features.cgroup_version == 0) {
    report.strict = report.restricted = "rlimits, and the shim's watch over memory and processes";
    report.lift = "give the agent a cgroup of its own with the controllers memory, pids and cpu (" +
                  ReasonFor(features, "resources") + ")";
  }
  return report;
}

Value ToValue(const LayerReport& layer) {
  Value value = Value::Object();
  value.Set("layer", Value::String(layer.layer));
  value.Set("strict", Value::String(layer.strict));
  value.Set("strictOk", Value::Bool(layer.strict_ok));
  value.Set("restricted", Value::String(layer.restricted));
  value.Set("restrictedOk", Value::Bool(layer.restricted_ok));
  if (!layer.lift.empty()) value.Set("lift", Value::String(layer.lift));
  return value;
}

}  // namespace

TierReport Assess(const KernelFeatures& features) {
  TierReport report;
  report.layers = {Namespaces(features),  FileSystem(features), Network(features),  OtherProcesses(features),
                   SystemCalls(features), Privileges(),         Resources(features)};
  report.strict = report.restricted = true;
  for (const LayerReport& layer : report.layers) {
    if (!layer.strict_ok && report.strict) report.strict_reason = layer.layer + ": " + layer.strict;
    if (!layer.restricted_ok && report.restricted) report.restricted_reason = layer.layer + ": " + layer.restricted;
    report.strict = report.strict && layer.strict_ok;
    report.restricted = report.restricted && layer.restricted_ok;
  }
  return report;
}

Result<Tier> BestTier(const TierReport& report) {
  if (report.strict) return Tier::kStrict;
  if (report.restricted) return Tier::kRestricted;
  return Error(Code::kUnsupported,
               "this place offers no sandbox tier, so no plugin is started; strict: " + report.strict_reason +
                   "; restricted: " + report.restricted_reason + "; see `bulkhead doctor`");
}

Value ToValue(const TierReport& report, const KernelFeatures& features) {
  Value value = Value::Object();
  Value layers = Value::Array();
  for (const LayerReport& layer : report.layers) layers.items.push_back(ToValue(layer));
  value.Set("layers", std::move(layers));
  const auto tier = [](bool available, const std::string& reason) {
    Value one = Value::Object();
    one.Set("available", Value::Bool(available));
    if (!available) one.Set("reason", Value::String(reason));
    return one;
  };
  value.Set("strict", tier(report.strict, report.strict_reason));
  value.Set("restricted", tier(report.restricted, report.restricted_reason));
  Value kernel = Value::Object();
  kernel.Set("landlockAbi", Value::Number(features.landlock_abi));
  kernel.Set("seccompFilter", Value::Bool(features.seccomp_filter));
  kernel.Set("seccompUserNotify", Value::Bool(features.seccomp_user_notify));
  kernel.Set("userNamespaces", Value::Bool(features.user_namespaces));
  kernel.Set("allNamespaces", Value::Bool(features.all_namespaces));
  kernel.Set("mountProc", Value::Bool(features.mount_proc));
  kernel.Set("cgroupVersion", Value::Number(features.cgroup_version));
  kernel.Set("root", Value::Bool(features.root));
  value.Set("kernel", std::move(kernel));
  return value;
}

}  // namespace bulkhead::sandbox

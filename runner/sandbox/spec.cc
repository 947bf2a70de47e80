#include "runner/sandbox/spec.h"

#include <algorithm>

#include "runner/base/text.h"
#include "runner/sandbox/seccomp.h"

namespace bulkhead::sandbox {

namespace {

Value Strings(const std::vector<std::string>& list) {
  Value value = Value::Array();
  for (const std::string& item : list) value.items.push_back(Value::String(item));
  return value;
}

Value Count(uint64_t count) {
  return Value::Number(static_cast<int64_t>(count));
}

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

Status Bad(const SandboxSpec& spec, const std::string& what) {
  return Error(Code::kInvalidInput, "plugin \"" + EscapeForTerminal(spec.name) + "\": " + what);
}

bool HasNul(const std::vector<std::string>& list) {
  return std::any_of(list.begin(), list.end(),
                     [](const std::string& text) { return text.find('\0') != std::string::npos; });
}

}  // namespace

std::string_view TierName(Tier tier) {
  return tier == Tier::kStrict ? "strict" : "restricted";
}

Value ToValue(const SandboxSpec& spec) {
  Value value = Value::Object();
  value.Set("name", Value::String(spec.name));
  value.Set("tier", Value::String(std::string(TierName(spec.tier))));
  value.Set("argv", Strings(spec.argv));
  Value env = Value::Array();
  for (const std::string& variable : spec.env)
    env.items.push_back(Value::String(variable.substr(0, variable.find('=')) + "=***"));
  value.Set("env", std::move(env));
  value.Set("workingDir", Value::String(spec.working_dir.empty() ? "/" : spec.working_dir));
  value.Set("rootfs", Value::String(spec.rootfs));
  value.Set("shown", Strings(spec.shown));
  value.Set("uid", Count(spec.uid));
  value.Set("gid", Count(spec.gid));
  Value ports = Value::Array();
  for (const uint16_t port : spec.ports) ports.items.push_back(Count(port));
  value.Set("ports", std::move(ports));
  value.Set("servePort", Count(spec.serve_port));
  value.Set("token", Value::String(spec.token.empty() ? "" : "***"));
  value.Set("seccompProfile", Value::String(spec.seccomp_profile));
  Value limits = Value::Object();
  limits.Set("memoryBytes", Count(spec.limits.memory_bytes));
  limits.Set("cpuMillis", Count(spec.limits.cpu_millis));
  limits.Set("pids", Count(spec.limits.pids));
  limits.Set("openFiles", Count(spec.limits.open_files));
  limits.Set("fileBytes", Count(spec.limits.file_bytes));
  limits.Set("scratchBytes", Count(spec.limits.scratch_bytes));
  value.Set("limits", std::move(limits));
  return value;
}

Status Validate(const SandboxSpec& spec) {
  constexpr uint32_t kMostId = 0x7FFFFFFE;
  if (spec.name.empty() || spec.name.size() > 63 || !std::all_of(spec.name.begin(), spec.name.end(), IsNameChar)) {
    return Bad(spec, "a name has 1 to 63 lower-case letters, digits, '.' and '-'");
  }
  if (spec.argv.empty() || spec.argv.front().empty()) return Bad(spec, "the command is empty");
  if (HasNul(spec.argv) || HasNul(spec.env)) return Bad(spec, "a NUL character in the command or the environment");
  for (const std::string& variable : spec.env) {
    if (variable.find('=') == std::string::npos || variable.front() == '=')
      return Bad(spec, "an environment variable without a name or '='");
  }
  if (!spec.working_dir.empty() && spec.working_dir.front() != '/')
    return Bad(spec, "workingDir must be an absolute path");
  if (spec.tier == Tier::kRestricted && spec.uid == 0) return Bad(spec, "user 0 needs tier strict");
  if (spec.tier == Tier::kRestricted && !spec.rootfs.empty()) return Bad(spec, "a root folder needs tier strict");
  if (spec.uid > kMostId || spec.gid > kMostId) return Bad(spec, "user and group must be at most 2147483646");
  if (std::find(spec.ports.begin(), spec.ports.end(), 0) != spec.ports.end())
    return Bad(spec, "port 0 is any port, which can't be allowed");
  if (spec.serve_port != 0 && std::find(spec.ports.begin(), spec.ports.end(), spec.serve_port) == spec.ports.end()) {
    return Bad(spec, "the port that is called is not among its ports");
  }
  const std::vector<std::string_view> profiles = SeccompProfileNames();
  if (std::find(profiles.begin(), profiles.end(), spec.seccomp_profile) == profiles.end()) {
    return Bad(spec, "there is no seccomp profile \"" + EscapeForTerminal(spec.seccomp_profile) + "\"" +
                         DidYouMean(spec.seccomp_profile, profiles));
  }
  if (spec.limits.pids == 0 || spec.limits.memory_bytes < (1U << 20U) || spec.limits.open_files < 16) {
    return Bad(spec, "limits are too low to start anything: memory at least 1Mi, 1 process, 16 open files");
  }
  return OkStatus();
}

}  // namespace bulkhead::sandbox

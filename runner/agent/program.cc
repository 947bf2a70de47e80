#include "runner/agent/program.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "runner/base/text.h"
#include "runner/base/yaml.h"

namespace bulkhead::agent {

namespace {

namespace fs = std::filesystem;

// What a view of the host's root has, see runner/sandbox/view.cc and landlock.cc.
constexpr auto kVisible = std::to_array<std::string_view>({"/usr/", "/opt/", "/bin/", "/sbin/", "/lib/", "/lib64/"});
// What every compartment has of its own, or must not see.
constexpr auto kOwn =
    std::to_array<std::string_view>({"/tmp/", "/run/", "/var/run/", "/var/tmp/", "/dev/", "/proc/", "/sys/"});
// Official images have it by this name, Debian and Ubuntu by that one.
const std::map<std::string_view, std::string_view> kOtherNames = {{"python", "python3"}, {"pip", "pip3"}};

bool StartsWithAny(const std::string& path, const auto& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return path.starts_with(prefix); });
}

bool IsProgram(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

// In the folders of PATH that the compartment sees.
bool IsInPath(std::string_view program, const sandbox::SandboxSpec& spec) {
  for (const std::string& variable : spec.env) {
    if (!variable.starts_with("PATH=")) continue;
    for (const std::string& folder : Split(variable.substr(5), ':')) {
      if (StartsWithAny(folder + "/", kVisible) && IsProgram(fs::path(folder) / program)) return true;
    }
  }
  return false;
}

Error NoProgram(const PluginManifest& manifest, const std::string& why) {
  return Error(Code::kInvalidInput, Place(manifest.file, manifest.at) + ": plugin \"" + manifest.name + "\": " + why);
}

Status FindByName(PluginManifest& manifest, sandbox::SandboxSpec& spec) {
  std::string& program = spec.argv.front();
  if (IsInPath(program, spec)) return OkStatus();
  const auto other = kOtherNames.find(program);
  if (other == kOtherNames.end() || !IsInPath(other->second, spec)) {
    return NoProgram(manifest, "there is no program \"" + EscapeForTerminal(program) +
                                   "\" on this host; install it, or give the plugin its image's root with --rootfs " +
                                   manifest.name + "=DIR");
  }
  manifest.notices.push_back("command " + program + " is not on this host: " + std::string(other->second) +
                             " runs instead");
  program = other->second;
  return OkStatus();
}

Status FindByPath(PluginManifest& manifest, sandbox::SandboxSpec& spec) {
  const std::string& program = spec.argv.front();
  if (StartsWithAny(program, kVisible)) {
    if (IsProgram(program)) return OkStatus();
  } else if (program.front() == '/') {
    std::error_code error;
    // Of the real file: a link could lead a mount into what is not the compartment's.
    const std::string real = fs::canonical(program, error).string();
    if (!error && IsProgram(real)) {
      if (StartsWithAny(real, kOwn) || StartsWithAny(program, kOwn)) {
        return NoProgram(manifest, "command " + EscapeForTerminal(program) +
                                       " lies where each compartment has a folder of its own; put it under /opt, say");
      }
      spec.argv.front() = real;
      spec.shown.push_back(real);
      manifest.notices.push_back("command " + EscapeForTerminal(real) + " is shown to the plugin read-only");
      return OkStatus();
    }
  }
  return NoProgram(manifest, "command " + EscapeForTerminal(program) +
                                 " is not a program on this host; give the plugin its image's root with --rootfs " +
                                 manifest.name + "=DIR");
}

}  // namespace

Status FindProgram(PluginManifest& manifest, sandbox::SandboxSpec& spec) {
  if (!spec.rootfs.empty() || spec.argv.empty()) return OkStatus();
  return spec.argv.front().find('/') == std::string::npos ? FindByName(manifest, spec) : FindByPath(manifest, spec);
}

}  // namespace bulkhead::agent

#include "runner/sandbox/view.h"

#include <algorithm>
#include <array>
#include <filesystem>

namespace bulkhead::sandbox {

namespace {

namespace fs = std::filesystem;
using Kind = MountEntry::Kind;

constexpr auto kHostFolders =
    std::to_array<const char*>({"/usr", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"});
// What runtimes read at start, without which they fail or change their ways; nothing of this host's own.
constexpr auto kHostEtc = std::to_array<const char*>({
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/services",
    "/etc/protocols",
    "/etc/python3",
    "/etc/python3.11",
    "/etc/python3.12",
    "/etc/os-release",
});
constexpr auto kDevices =
    std::to_array<const char*>({"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"});
// Made by bulkhead-init, whatever a root folder holds there.
constexpr auto kOwn = std::to_array<std::string_view>({"proc", "dev", "tmp", "run", "sys"});

bool IsOwn(const std::string& name) {
  return std::find(kOwn.begin(), kOwn.end(), name) != kOwn.end();
}

// A symbolic link is made again, so that it leads where it would inside.
void AddPath(const fs::path& source, const std::string& target, std::vector<MountEntry>& entries) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(source, error);
  if (error || status.type() == fs::file_type::not_found) return;
  if (status.type() == fs::file_type::symlink) {
    entries.push_back({Kind::kSymlink, target, fs::read_symlink(source, error).string(), true});
  } else {
    entries.push_back({Kind::kBind, target, source.string(), true});
  }
}

void AddHost(const SandboxSpec& spec, std::vector<MountEntry>& entries) {
  for (const char* const folder : kHostFolders) AddPath(folder, folder, entries);
  for (const char* const file : kHostEtc) entries.push_back({Kind::kBind, file, file, false});
  const std::string ids = std::to_string(spec.uid) + ":" + std::to_string(spec.gid);
  const std::string user = spec.uid == 0 ? "" : "plugin:x:" + ids + "::/tmp:/usr/sbin/nologin\n";
  const std::string group = spec.gid == 0 ? "" : "plugin:x:" + std::to_string(spec.gid) + ":\n";
  entries.push_back({Kind::kFile, "/etc/passwd", "root:x:0:0::/:/usr/sbin/nologin\n" + user, true});
  entries.push_back({Kind::kFile, "/etc/group", "root:x:0:\n" + group, true});
  entries.push_back({Kind::kFile, "/etc/hosts", "127.0.0.1 localhost " + spec.name + "\n::1 localhost\n", true});
  entries.push_back({Kind::kFile, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", true});
  entries.push_back({Kind::kSymlink, "/var/run", "/run", true});
  entries.push_back({Kind::kSymlink, "/var/tmp", "/tmp", true});
  for (const std::string& path : spec.shown) entries.push_back({Kind::kBind, path, path, true});
}

Status AddRootfs(const SandboxSpec& spec, std::vector<MountEntry>& entries) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(spec.rootfs, error)) {
    const std::string name = entry.path().filename();
    if (!IsOwn(name) && name != "var") AddPath(entry.path(), "/" + name, entries);
  }
  if (error) return Error(Code::kInvalidInput, "the root folder " + spec.rootfs + ": " + error.message());
  // One by one, since /var/run/argo has to be ours.
  for (const auto& entry : fs::directory_iterator(fs::path(spec.rootfs) / "var", error)) {
    const std::string name = entry.path().filename();
    if (name != "run" && name != "tmp") AddPath(entry.path(), "/var/" + name, entries);
  }
  entries.push_back({Kind::kSymlink, "/var/run", "/run", true});
  entries.push_back({Kind::kSymlink, "/var/tmp", "/tmp", true});
  return OkStatus();
}

void AddDevices(std::vector<MountEntry>& entries) {
  for (const char* const device : kDevices) entries.push_back({Kind::kBind, device, device, true});
  entries.push_back({Kind::kSymlink, "/dev/fd", "/proc/self/fd", true});
  entries.push_back({Kind::kSymlink, "/dev/stdin", "/proc/self/fd/0", true});
  entries.push_back({Kind::kSymlink, "/dev/stdout", "/proc/self/fd/1", true});
  entries.push_back({Kind::kSymlink, "/dev/stderr", "/proc/self/fd/2", true});
}

}  // namespace

Result<std::vector<MountEntry>> PlanView(const SandboxSpec& spec) {
  std::vector<MountEntry> entries;
  if (spec.rootfs.empty()) {
    AddHost(spec, entries);
  } else {
    BULKHEAD_TRY(AddRootfs(spec, entries));
  }
  AddDevices(entries);
  entries.push_back({Kind::kFolder, "/run", "", true});
  return entries;
}

}  // namespace bulkhead::sandbox

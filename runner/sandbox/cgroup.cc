#include "runner/sandbox/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <map>
#include <thread>

#include "runner/base/io.h"
#include "runner/base/text.h"

namespace bulkhead::sandbox {

namespace {

constexpr std::string_view kPrefix = "bulkhead-";
constexpr size_t kMostProcFile = 1U << 20U;
constexpr uint64_t kCpuPeriod = 100'000;  // microseconds
constexpr auto kRemovePatience = std::chrono::seconds(2);
constexpr auto kKillPause = std::chrono::microseconds(500);

Status WriteFile(const std::string& path, std::string_view text) {
  BULKHEAD_ASSIGN(const UniqueFd file, OpenFile(path, O_WRONLY));
  if (::write(file.get(), text.data(), text.size()) < 0) return ErrnoError("writing " + path, errno);
  return OkStatus();
}

// The folder of this process in a mounted hierarchy. `root` is what of the hierarchy is mounted there.
std::string OwnFolder(const std::string& mount_point, const std::string& root, const std::string& own) {
  if (root == "/") return own == "/" ? mount_point : mount_point + own;
  if (own == root) return mount_point;
  if (own.starts_with(root + "/")) return mount_point + own.substr(root.size());
  return mount_point;
}

struct Mount {
  std::string root, point, type, options;
};

std::vector<Mount> ReadMounts() {
  std::vector<Mount> mounts;
  const auto text = ReadFile("/proc/self/mountinfo", kMostProcFile);
  if (!text.ok()) return mounts;
  for (const std::string& line : Split(*text, '\n')) {
    // 36 35 98:0 /root /point rw,noatime shared:1 - type source options
    const std::vector<std::string> fields = Split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4) continue;
    mounts.push_back({fields[3], fields[4], *(dash + 1), *(dash + 3)});
  }
  return mounts;
}

// controller (or "" for version 2) to the path of this process.
std::map<std::string, std::string> ReadOwnPaths() {
  std::map<std::string, std::string> paths;
  const auto text = ReadFile("/proc/self/cgroup", kMostProcFile);
  if (!text.ok()) return paths;
  for (const std::string& line : Split(*text, '\n')) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    for (const std::string& controller : Split(line.substr(first + 1, second - first - 1), ','))
      paths[controller] = line.substr(second + 1);
  }
  return paths;
}

bool HasWord(const std::string& list, char separator, std::string_view word) {
  const std::vector<std::string> words = Split(list, separator);
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string TrialName() {
  return std::string(kPrefix) + std::to_string(::getpid()) + "-probe";
}

bool CanMakeIn(const std::string& folder) {
  const std::string trial = folder + "/" + TrialName();
  if (::mkdir(trial.c_str(), 0755) != 0) return false;
  const bool has_procs = ::access((trial + "/cgroup.procs").c_str(), W_OK) == 0;
  ::rmdir(trial.c_str());
  return has_procs;
}

CgroupPlace FindVersion2(const std::vector<Mount>& mounts, const std::map<std::string, std::string>& own) {
  CgroupPlace place;
  const auto mount = std::find_if(mounts.begin(), mounts.end(), [](const Mount& m) { return m.type == "cgroup2"; });
  const auto path = own.find("");
  if (mount == mounts.end() || path == own.end()) return place;
  const std::string folder = OwnFolder(mount->point, mount->root, path->second);
  // Fails where processes live in the folder, unless it is the root or was set up by who delegated it.
  (void)WriteFile(folder + "/cgroup.subtree_control", "+memory +pids +cpu");
  const auto enabled = ReadFile(folder + "/cgroup.subtree_control", kMostProcFile);
  if (!enabled.ok()) return place;
  std::string list = *enabled;
  while (list.ends_with('\n')) list.pop_back();
  for (const std::string_view controller : {"memory", "pids", "cpu"}) {
    if (!HasWord(list, ' ', controller)) return place;
  }
  if (!CanMakeIn(folder)) return place;
  place.version = 2;
  place.folders = {folder};
  return place;
}

CgroupPlace FindVersion1(const std::vector<Mount>& mounts, const std::map<std::string, std::string>& own) {
  CgroupPlace place;
  for (const char* const controller : {"memory", "pids", "cpu"}) {
    const auto mount = std::find_if(mounts.begin(), mounts.end(), [&](const Mount& m) {
      return m.type == "cgroup" && HasWord(m.options, ',', controller);
    });
    const auto path = own.find(controller);
    if (mount == mounts.end() || path == own.end()) {
      place.reason = std::string("no cgroup hierarchy with the controller ") + controller + " is mounted";
      return place;
    }
    std::string folder = OwnFolder(mount->point, mount->root, path->second);
    if (!CanMakeIn(folder)) {
      place.reason = "no child group can be made in " + folder;
      return place;
    }
    place.folders.push_back(std::move(folder));
  }
  place.version = 1;
  return place;
}

Status SetLimits(int version, const std::vector<std::string>& folders, const Limits& limits) {
  const std::string memory = std::to_string(limits.memory_bytes);
  const std::string pids = std::to_string(limits.pids);
  const uint64_t quota = limits.cpu_millis * kCpuPeriod / 1000;
  if (version == 2) {
    const std::string& folder = folders.front();
    BULKHEAD_TRY(WriteFile(folder + "/memory.max", memory));
    (void)WriteFile(folder + "/memory.swap.max", "0");  // absent without swap
    BULKHEAD_TRY(WriteFile(folder + "/pids.max", pids));
    if (quota > 0)
      BULKHEAD_TRY(WriteFile(folder + "/cpu.max", std::to_string(quota) + " " + std::to_string(kCpuPeriod)));
    return OkStatus();
  }
  BULKHEAD_TRY(WriteFile(folders[0] + "/memory.limit_in_bytes", memory));
  (void)WriteFile(folders[0] + "/memory.memsw.limit_in_bytes", memory);  // absent without swap accounting
  BULKHEAD_TRY(WriteFile(folders[1] + "/pids.max", pids));
  if (quota > 0) BULKHEAD_TRY(WriteFile(folders[2] + "/cpu.cfs_quota_us", std::to_string(quota)));
  return OkStatus();
}

}  // namespace

CgroupPlace FindCgroupPlace() {
  const std::vector<Mount> mounts = ReadMounts();
  const auto own = ReadOwnPaths();
  CgroupPlace place = FindVersion2(mounts, own);
  if (place.version == 0) place = FindVersion1(mounts, own);
  return place;
}

void SweepCgroups(const CgroupPlace& place) {
  for (const std::string& folder : place.folders) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with(kPrefix)) continue;
      pid_t owner = 0;
      const auto parsed = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), owner);
      const bool gone = parsed.ec == std::errc() && owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH;
      if (gone) ::rmdir(entry.path().c_str());
    }
  }
}

Result<std::unique_ptr<Cgroup>> Cgroup::Create(const CgroupPlace& place, const Limits& limits) {
  static std::atomic<uint64_t> counter = 0;  // only tells names apart
  const std::string leaf =
      "/" + std::string(kPrefix) + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1));
  std::unique_ptr<Cgroup> group(new Cgroup(place.version, limits));
  for (const std::string& folder : place.folders) {
    const std::string path = folder + leaf;
    if (::mkdir(path.c_str(), 0755) != 0) return ErrnoError("making the cgroup " + path, errno);
    group->folders_.push_back(path);
  }
  BULKHEAD_TRY(SetLimits(group->version_, group->folders_, limits));
  return group;
}

Cgroup::~Cgroup() {
  Remove();
}

Result<std::vector<UniqueFd>> Cgroup::OpenProcs() const {
  std::vector<UniqueFd> files;
  for (const std::string& folder : folders_) {
    BULKHEAD_ASSIGN(UniqueFd file, OpenFile(folder + (version_ == 2 ? "/cgroup.procs" : "/tasks"), O_WRONLY));
    files.push_back(std::move(file));
  }
  return files;
}

bool Cgroup::OutOfMemory() const {
  if (folders_.empty()) return false;
  const auto text =
      ReadFile(folders_.front() + (version_ == 2 ? "/memory.events" : "/memory.oom_control"), kMostProcFile);
  if (!text.ok()) return false;
  for (const std::string& line : Split(*text, '\n')) {
    if (line.starts_with("oom_kill ") && line != "oom_kill 0") return true;
  }
  return false;
}

bool Cgroup::KillAll() const {
  if (folders_.empty()) return true;
  if (version_ == 2) (void)WriteFile(folders_.front() + "/cgroup.kill", "1");  // Linux 5.14
  const auto end = std::chrono::steady_clock::now() + kRemovePatience;
  for (;;) {
    const auto text = ReadFile(folders_.back() + "/cgroup.procs", kMostProcFile);
    if (!text.ok()) return false;
    if (text->empty()) return true;
    if (std::chrono::steady_clock::now() >= end) return false;
    // A number that is free again can't be another's: what is listed is in the group, alive or not reaped.
    for (const std::string& line : Split(*text, '\n')) {
      pid_t pid = 0;
      std::from_chars(line.data(), line.data() + line.size(), pid);
      if (pid > 0) ::kill(pid, SIGKILL);
    }
    std::this_thread::sleep_for(kKillPause);
  }
}

bool Cgroup::Remove() {
  // A process that was reaped still counts for a moment, until the kernel has let go of it.
  const auto end = std::chrono::steady_clock::now() + kRemovePatience;
  auto pause = std::chrono::microseconds(200);
  while (!folders_.empty()) {
    if (::rmdir(folders_.back().c_str()) == 0 || errno == ENOENT) {
      folders_.pop_back();
      continue;
    }
    if (errno != EBUSY || std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20'000));
  }
  return true;
}

}  // namespace bulkhead::sandbox

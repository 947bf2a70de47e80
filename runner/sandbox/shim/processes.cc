#include "runner/sandbox/shim/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "runner/base/unique_fd.h"

namespace bulkhead::sandbox::shim {

namespace {

constexpr size_t kMostTable = 8U << 20U;  // of /proc/net/tcp

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

std::string ReadSmall(const std::string& path, size_t most) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char chunk[16384];
  while (file.valid() && text.size() < most) {
    const ssize_t count = ::read(file.get(), chunk, sizeof chunk);
    if (count <= 0) break;
    text.append(chunk, static_cast<size_t>(count));
  }
  return text;
}

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  uint64_t threads = 0;
};

// proc_pid_stat(5): the name, in parentheses, is the process's own choice, so what follows its last ')' counts.
Process ReadProcess(pid_t pid) {
  const std::string text = ReadSmall("/proc/" + std::to_string(pid) + "/stat", 4096);
  const size_t end = text.rfind(')');
  Process process;
  if (end == std::string::npos) return process;
  char state = 0;
  int parent = 0;
  unsigned long threads = 0;
  if (std::sscanf(text.c_str() + end + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %lu",
                  &state, &parent, &threads) != 3)
    return process;
  process = {pid, parent, threads};
  return process;
}

std::vector<Process> AllProcesses() {
  std::vector<Process> processes;
  const Folder folder(::opendir("/proc"));
  if (folder == nullptr) return processes;
  while (const dirent* const entry = ::readdir(folder.get())) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    const Process process = ReadProcess(pid);
    if (process.pid != 0) processes.push_back(process);
  }
  return processes;
}

// Inodes of sockets in state LISTEN (0A) on a port, from one table of proc_net(5).
void FindListeners(const char* table, uint16_t port, std::vector<unsigned long>& inodes) {
  const std::string text = ReadSmall(table, kMostTable);
  for (size_t line = text.find('\n'); line != std::string::npos && line + 1 < text.size();
       line = text.find('\n', line + 1)) {
    unsigned local_port = 0;
    unsigned state = 0;
    unsigned long inode = 0;
    const int fields =
        std::sscanf(text.c_str() + line + 1, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu",
                    &local_port, &state, &inode);
    if (fields == 3 && local_port == port && state == 0x0A) inodes.push_back(inode);
  }
}

bool HoldsSocket(pid_t pid, const std::vector<unsigned long>& inodes) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd";
  const Folder folder(::opendir(path.c_str()));
  if (folder == nullptr) return false;
  while (const dirent* const entry = ::readdir(folder.get())) {
    char target[64] = {};
    const ssize_t size = ::readlink((path + "/" + entry->d_name).c_str(), target, sizeof target - 1);
    unsigned long inode = 0;
    if (size > 0 && std::sscanf(target, "socket:[%lu]", &inode) == 1 &&
        std::find(inodes.begin(), inodes.end(), inode) != inodes.end())
      return true;
  }
  return false;
}

}  // namespace

std::vector<pid_t> Descendants() {
  const std::vector<Process> all = AllProcesses();
  std::vector<pid_t> found = {::getpid()};
  for (size_t i = 0; i < found.size(); ++i) {
    for (const Process& process : all) {
      if (process.parent == found[i]) found.push_back(process.pid);
    }
  }
  found.erase(found.begin());
  return found;
}

Usage Measure(const std::vector<pid_t>& processes) {
  Usage usage;
  for (const pid_t pid : processes) {
    usage.processes += ReadProcess(pid).threads;
    unsigned long resident = 0;
    const std::string text = ReadSmall("/proc/" + std::to_string(pid) + "/statm", 256);
    if (std::sscanf(text.c_str(), "%*u %lu", &resident) == 1) usage.resident_bytes += resident * 4096;
  }
  return usage;
}

bool Listens(uint16_t port, bool owned) {
  std::vector<unsigned long> inodes;
  FindListeners("/proc/net/tcp", port, inodes);
  FindListeners("/proc/net/tcp6", port, inodes);
  if (inodes.empty() || !owned) return !inodes.empty();
  const std::vector<pid_t> descendants = Descendants();
  return std::any_of(descendants.begin(), descendants.end(), [&](pid_t pid) { return HoldsSocket(pid, inodes); });
}

void KillDescendants() {
  for (;;) {
    // Orphans become children of this process, so that no child means no descendant.
    const pid_t reaped = ::waitpid(-1, nullptr, WNOHANG);
    if (reaped < 0 && errno == ECHILD) return;
    if (reaped > 0) continue;
    for (const pid_t pid : Descendants()) ::kill(pid, SIGKILL);
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace bulkhead::sandbox::shim

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runner/sandbox/init/init.h"
#include "runner/sandbox/protocol.h"

namespace bulkhead::sandbox::init {

namespace {

constexpr const char* kBase = "/tmp";  // covered by the new root while it is built
constexpr unsigned kRootBytes = 1U << 20U;
constexpr uint64_t kSharedMemoryBytes = 64U << 20U;

// mount_setattr(2), Linux 5.12. Recursive: a mount below, say on /usr/share, must not stay writable.
void SetAttributes(int fd, uint64_t attributes, unsigned flags, const std::string& what) {
  mount_attr attr = {};
  attr.attr_set = attributes;
  if (::syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, &attr, sizeof attr) != 0)
    Fail(kControlFd, "mount_setattr " + what, errno);
}

void MakeParents(const std::string& path) {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    if (::mkdir(path.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST && errno != EROFS)
      Fail(kControlFd, "mkdir /" + path.substr(0, slash), errno);
  }
}

void MakeFolder(const std::string& path, mode_t mode = 0755) {
  MakeParents(path);
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST && errno != EROFS) Fail(kControlFd, "mkdir /" + path, errno);
}

UniqueFd MakeFile(const std::string& path, mode_t mode) {
  MakeParents(path);
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file.valid() && errno != EROFS) Fail(kControlFd, "making /" + path, errno);
  return file;
}

void WriteText(const UniqueFd& file, const std::string& text, const std::string& path) {
  if (!file.valid() || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    Fail(kControlFd, "writing /" + path, errno);
}

// The mounts of the host, copied before the new root covers any of them.
std::vector<UniqueFd> CopyMounts(const Plan& plan) {
  std::vector<UniqueFd> copies;
  for (const MountEntry& entry : plan.mounts) {
    UniqueFd copy;
    if (entry.kind == MountEntry::Kind::kBind) {
      copy.Reset(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, entry.source.c_str(),
                                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
      if (!copy.valid() && (entry.required || errno != ENOENT)) Fail(kControlFd, "opening " + entry.source, errno);
    }
    copies.push_back(std::move(copy));
  }
  return copies;
}

void PlaceMount(const UniqueFd& copy, const std::string& path) {
  struct stat info = {};
  if (::fstat(copy.get(), &info) != 0) Fail(kControlFd, "stat of /" + path, errno);
  const bool device = S_ISCHR(info.st_mode);
  if (S_ISDIR(info.st_mode)) {
    MakeFolder(path);
  } else {
    MakeFile(path, 0644);
  }
  SetAttributes(copy.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | (device ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_NODEV),
                AT_RECURSIVE, "/" + path);
  if (::syscall(SYS_move_mount, copy.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    Fail(kControlFd, "mounting /" + path, errno);
}

void PlaceEntries(const Plan& plan, const std::vector<UniqueFd>& copies) {
  for (size_t i = 0; i < plan.mounts.size(); ++i) {
    const MountEntry& entry = plan.mounts[i];
    const std::string path = entry.target.substr(1);
    switch (entry.kind) {
      case MountEntry::Kind::kBind:
        if (copies[i].valid()) PlaceMount(copies[i], path);
        break;
      case MountEntry::Kind::kSymlink:
        MakeParents(path);
        if (::symlink(entry.source.c_str(), path.c_str()) != 0 && errno != EEXIST && errno != EROFS)
          Fail(kControlFd, "symlink /" + path, errno);
        break;
      case MountEntry::Kind::kFile: WriteText(MakeFile(path, 0644), entry.source, path); break;
      case MountEntry::Kind::kFolder: MakeFolder(path); break;
    }
  }
}

void MountTmpfs(const std::string& path, uint64_t bytes, const Plan& plan) {
  MakeFolder(path);
  const std::string options =
      "mode=0700,size=" + std::to_string(bytes) + ",nr_inodes=" + std::to_string(4096 + bytes / 4096);
  if (::mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
    Fail(kControlFd, "mounting a tmpfs on /" + path, errno);
  if (::chown(path.c_str(), plan.uid, plan.gid) != 0) Fail(kControlFd, "chown /" + path, errno);
}

void WriteToken(const Plan& plan) {
  if (plan.token.empty()) return;
  // Argo's documentation: the plugin reads /var/run/argo/token.
  const std::string path = "run/argo/token";
  const UniqueFd file = MakeFile(path, 0400);
  WriteText(file, plan.token, path);
  if (::fchown(file.get(), plan.uid, plan.gid) != 0) Fail(kControlFd, "chown /" + path, errno);
}

}  // namespace

void BuildRoot(const Plan& plan) {
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    Fail(kControlFd, "making the mounts private", errno);
  const std::vector<UniqueFd> copies = CopyMounts(plan);
  const std::string options = "mode=0755,size=" + std::to_string(kRootBytes);
  if (::mount("tmpfs", kBase, "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
    Fail(kControlFd, "mounting the new root", errno);
  if (::chdir(kBase) != 0) Fail(kControlFd, "chdir to the new root", errno);
  const mode_t mask = ::umask(0);
  PlaceEntries(plan, copies);
  MakeFolder("proc");
  if (::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    Fail(kControlFd, "mounting /proc", errno);
  MountTmpfs("tmp", plan.scratch_bytes, plan);
  MountTmpfs("dev/shm", kSharedMemoryBytes, plan);
  WriteToken(plan);
  ::umask(mask);

  const UniqueFd root(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  SetAttributes(root.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, "/");
  // pivot_root(2), NOTES: the old root ends up on top of the new one, and is taken off.
  if (::syscall(SYS_pivot_root, ".", ".") != 0) Fail(kControlFd, "pivot_root", errno);
  if (::umount2(".", MNT_DETACH) != 0) Fail(kControlFd, "leaving the old root", errno);
  if (::chdir("/") != 0) Fail(kControlFd, "chdir to the new root", errno);
}

}  // namespace bulkhead::sandbox::init

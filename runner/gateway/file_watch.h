// FileWatch: tells when files, or what lies in folders, have changed.
//
// By looking once in a while rather than by inotify(7): Kubernetes replaces mounted ConfigMaps and Secrets by
// turning a link beside them, which no watch on the file itself sees.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace bulkhead::gateway {

struct WatchedFiles {
  std::vector<std::string> paths;
  // On the watch's thread: the paths have changed, or may have (at first, and when Poke was called).
  std::function<void()> on_change;
};

// Thread-safe.
class FileWatch {
 public:
  // `on_round` is called after each look, on the watch's thread.
  FileWatch(std::vector<WatchedFiles> watched, std::chrono::nanoseconds interval, std::function<void()> on_round);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // Calls every on_change soon, whatever has changed.
  void Poke();

 private:
  void Watch();

  const std::vector<WatchedFiles> watched_;
  const std::chrono::nanoseconds interval_;
  const std::function<void()> on_round_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool poked_ = false;     // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

// What identifies the present state of the paths: names, inodes, sizes and times of what they lead to.
std::string FilesStamp(const std::vector<std::string>& paths);

}  // namespace bulkhead::gateway

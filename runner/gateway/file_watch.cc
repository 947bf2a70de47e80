#include "runner/gateway/file_watch.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace bulkhead::gateway {

namespace {

void AddStamp(const std::string& path, std::string& stamp) {
  struct stat info = {};
  stamp += path;
  if (::stat(path.c_str(), &info) != 0) {
    stamp += " gone\n";
    return;
  }
  for (const auto number :
       {static_cast<int64_t>(info.st_dev), static_cast<int64_t>(info.st_ino), static_cast<int64_t>(info.st_size),
        static_cast<int64_t>(info.st_mtim.tv_sec), static_cast<int64_t>(info.st_mtim.tv_nsec),
        static_cast<int64_t>(info.st_ctim.tv_sec), static_cast<int64_t>(info.st_ctim.tv_nsec)})
    stamp += " " + std::to_string(number);
  stamp += '\n';
}

}  // namespace

std::string FilesStamp(const std::vector<std::string>& paths) {
  std::string stamp;
  for (const std::string& path : paths) {
    AddStamp(path, stamp);
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) continue;
    std::vector<std::string> inside;
    for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error))
      inside.push_back(entry->path().string());
    std::sort(inside.begin(), inside.end());
    for (const std::string& file : inside) AddStamp(file, stamp);
  }
  return stamp;
}

FileWatch::FileWatch(std::vector<WatchedFiles> watched, std::chrono::nanoseconds interval,
                     std::function<void()> on_round)
    : watched_(std::move(watched)), interval_(interval), on_round_(std::move(on_round)), thread_([this] { Watch(); }) {}

FileWatch::~FileWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void FileWatch::Poke() {
  const std::lock_guard lock(mutex_);
  poked_ = true;
  wake_.notify_all();
}

void FileWatch::Watch() {
  // The first round finds everything changed: nobody knows what happened since the files were read.
  std::vector<std::string> stamps(watched_.size());
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, interval_, [&] { return poked_ || stopping_; });
    if (stopping_) return;
    const bool poked = std::exchange(poked_, false);
    lock.unlock();
    for (size_t i = 0; i < watched_.size(); ++i) {
      std::string stamp = FilesStamp(watched_[i].paths);
      const bool changed = stamp != stamps[i];
      // Before it is read: what changes meanwhile is a change again.
      stamps[i] = std::move(stamp);
      if (changed || poked) watched_[i].on_change();
    }
    on_round_();
    lock.lock();
  }
}

}  // namespace bulkhead::gateway

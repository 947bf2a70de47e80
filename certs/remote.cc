#include "certs/remote.h"

#include <sys/stat.h>

#include <utility>

#include "runner/base/io.h"

namespace bulkhead::certs {

namespace {

constexpr size_t kMostFile = 1U << 20U;

// What tells the present files from others.
std::string StampOf(const TlsFiles& files) {
  std::string stamp;
  for (const std::string* const file : {&files.certificate, &files.key, &files.authorities}) {
    struct stat info = {};
    if (::stat(file->c_str(), &info) != 0) return "";
    for (const auto number :
         {static_cast<int64_t>(info.st_dev), static_cast<int64_t>(info.st_ino), static_cast<int64_t>(info.st_size),
          static_cast<int64_t>(info.st_mtim.tv_sec), static_cast<int64_t>(info.st_mtim.tv_nsec)})
      stamp += std::to_string(number) + " ";
  }
  return stamp;
}

Result<TlsContext> Read(const TlsFiles& files, const std::string& expected_uri) {
  WebTrust trust;
  BULKHEAD_ASSIGN(trust.certificate, ReadFile(files.certificate, kMostFile));
  BULKHEAD_ASSIGN(std::string key, ReadFile(files.key, kMostFile));
  trust.private_key = Secret(std::move(key));
  BULKHEAD_ASSIGN(trust.authorities, ReadFile(files.authorities, kMostFile));
  auto context = TlsContext::ForRemotePlugin(trust, expected_uri);
  if (!context.ok())
    return context.error().WithContext(files.certificate + ", " + files.key + ", " + files.authorities);
  return context;
}

}  // namespace

RemoteContext::RemoteContext(TlsFiles files, std::string expected_uri, std::string stamp, TlsContext context)
    : files_(std::move(files)),
      expected_uri_(std::move(expected_uri)),
      stamp_(std::move(stamp)),
      context_(std::move(context)) {}

Result<std::unique_ptr<RemoteContext>> RemoteContext::Load(const TlsFiles& files, std::string expected_uri) {
  // Before they are read: what changes meanwhile is a change again.
  std::string stamp = StampOf(files);
  auto context = Read(files, expected_uri);
  if (!context.ok()) return Error(Code::kInvalidInput, context.error().message());
  return std::unique_ptr<RemoteContext>(
      new RemoteContext(files, std::move(expected_uri), std::move(stamp), std::move(*context)));
}

TlsContext RemoteContext::Get() {
  const std::lock_guard lock(mutex_);
  std::string stamp = StampOf(files_);
  if (stamp == stamp_ && !stamp.empty()) return context_;
  auto context = Read(files_, expected_uri_);
  if (!context.ok()) {
    broken_ = context.error().message();
    return context_;
  }
  broken_.reset();
  context_ = std::move(*context);
  stamp_ = std::move(stamp);
  return context_;
}

std::optional<std::string> RemoteContext::Broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

}  // namespace bulkhead::certs

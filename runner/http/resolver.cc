#include "runner/http/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace bulkhead::http {

namespace {

constexpr int kMostLookups = 32;
constexpr auto kGlance = std::chrono::milliseconds(50);  // how often `stopped` is looked at

using Addresses = std::vector<IpAddress>;

// Shared by who asks and the thread that looks up; the later of both lets it go.
struct PendingLookup {
  std::mutex mutex;
  std::condition_variable ready;
  std::optional<Result<Addresses>> answer;  // guarded by mutex
};

Result<Addresses> Ask(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (failed != 0) return Error(Code::kUnavailable, "looking up " + host + ": " + ::gai_strerror(failed));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, ::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    IpAddress address;
    address.v4 = entry->ai_family == AF_INET;
    if (address.v4) {
      const auto* const v4 = reinterpret_cast<const sockaddr_in*>(entry->ai_addr);
      std::memcpy(address.bytes.data(), &v4->sin_addr, sizeof v4->sin_addr);
    } else if (entry->ai_family == AF_INET6) {
      const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(entry->ai_addr);
      std::memcpy(address.bytes.data(), &v6->sin6_addr, sizeof v6->sin6_addr);
    } else {
      continue;
    }
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
  }
  return addresses;
}

}  // namespace

Resolver SystemResolver() {
  auto running = std::make_shared<std::atomic<int>>(0);
  return
      [running](const std::string& host, SteadyTime deadline, const std::atomic<bool>& stopped) -> Result<Addresses> {
        if (running->fetch_add(1) >= kMostLookups) {
          running->fetch_sub(1);
          return Error(Code::kResourceExhausted, "looking up " + host + ": too many names are being looked up");
        }
        auto lookup = std::make_shared<PendingLookup>();
        std::thread([lookup, running, host] {
          Result<Addresses> answer = Ask(host);
          {
            const std::lock_guard lock(lookup->mutex);
            lookup->answer = std::move(answer);
          }
          lookup->ready.notify_all();
          running->fetch_sub(1);
        }).detach();
        std::unique_lock lock(lookup->mutex);
        while (!lookup->answer.has_value()) {
          const auto now = std::chrono::steady_clock::now();
          if (stopped.load()) return Error(Code::kCancelled, "looking up " + host + ": the agent is being stopped");
          if (now >= deadline) return Error(Code::kDeadlineExceeded, "looking up " + host + ": no answer in time");
          lookup->ready.wait_until(lock, std::min(deadline, now + kGlance));
        }
        return std::move(*lookup->answer);
      };
}

}  // namespace bulkhead::http

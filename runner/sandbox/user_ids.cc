#include "runner/sandbox/user_ids.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "runner/base/io.h"
#include "runner/base/text.h"

namespace bulkhead::sandbox {

namespace {

// Over what distributions give to users and to subuid(5) ranges, under 2^31, which some programs take for negative.
constexpr uint32_t kFirst = 0x70000000;
constexpr uint32_t kPairs = 1024;  // for each process id, modulo
constexpr uint32_t kProcesses = 65536;

uint32_t HighestMappedId() {
  uint64_t highest = 0;
  const auto map = ReadFile("/proc/self/uid_map", 64U << 10U);
  if (!map.ok()) return 0;
  for (const std::string& line : Split(*map, '\n')) {
    unsigned inside = 0;
    unsigned outside = 0;
    unsigned count = 0;
    if (std::sscanf(line.c_str(), " %u %u %u", &inside, &outside, &count) == 3 && count > 0)
      highest = std::max<uint64_t>(highest, uint64_t{inside} + count - 1);
  }
  return static_cast<uint32_t>(std::min<uint64_t>(highest, 0x7FFFFFFE));
}

}  // namespace

UserIds::UserIds(bool root) : root_(root), most_(root ? HighestMappedId() : 0) {}

void UserIds::Assign(uint32_t uid, uint32_t gid, Plan& plan) {
  if (!root_) {
    plan.uids = {{uid, ::geteuid()}};
    plan.gids = {{gid, ::getegid()}};
    plan.deny_setgroups = true;
    return;
  }
  const uint32_t pair = next_.fetch_add(1) % kPairs;
  uint32_t shim = kFirst + ((static_cast<uint32_t>(::getpid()) % kProcesses) * kPairs + pair) * 2;
  // Inside a user namespace there may be few ids: its highest ones are the least likely to own anything.
  if (shim + 1 > most_) shim = most_ - 1;
  plan.uids = {{0, shim}};
  plan.gids = {{0, shim}};
  if (uid != 0) plan.uids.push_back({uid, shim + 1});
  if (gid != 0) plan.gids.push_back({gid, shim + 1});
}

}  // namespace bulkhead::sandbox

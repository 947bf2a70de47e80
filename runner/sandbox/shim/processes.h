// What the shim reads of /proc: its descendants, what they use, and whether one of them listens.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace bulkhead::sandbox::shim {

// All processes whose ancestor this process is. Those that are made meanwhile may be missing.
std::vector<pid_t> Descendants();

struct Usage {
  uint64_t processes = 0;  // with threads
  uint64_t resident_bytes = 0;
};
Usage Measure(const std::vector<pid_t>& processes);

// Whether a TCP socket listens on `port` in this network namespace. `owned`: only a socket that one of
// the descendants holds counts, since others may share the namespace.
bool Listens(uint16_t port, bool owned);

// Kills every descendant, and those they make meanwhile, and reaps them.
void KillDescendants();

}  // namespace bulkhead::sandbox::shim

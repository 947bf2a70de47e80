#include "runner/gateway/owners.h"

namespace bulkhead::gateway {

std::vector<Owners::Conflict> Owners::Take(std::string_view plugin, const std::vector<policy::Verdict>& changes) {
  std::vector<Conflict> conflicts;
  for (const policy::Verdict& change : changes) {
    const auto found = owners_.find(change.path);
    if (found != owners_.end() && found->second != plugin) conflicts.push_back({change.path, found->second});
  }
  if (!conflicts.empty()) return conflicts;
  for (const policy::Verdict& change : changes) {
    if (!change.path.empty()) owners_.emplace(change.path, plugin);
  }
  return conflicts;
}

}  // namespace bulkhead::gateway

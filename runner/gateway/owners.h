// Owners: which plugin changed which leaf in the course of one hook. Two plugins may not fight over a leaf:
// whose value stood in the end would depend on an order that neither of them knows.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace bulkhead::gateway {

// Not thread-safe.
class Owners {
 public:
  struct Conflict {
    std::string path;
    std::string owner;
  };

  // The leaves among `changes` that another plugin has changed before. When there is none, all of them become
  // `plugin`'s; otherwise nothing changes hands.
  std::vector<Conflict> Take(std::string_view plugin, const std::vector<policy::Verdict>& changes);

 private:
  std::map<std::string, std::string, std::less<>> owners_;  // path to plugin
};

}  // namespace bulkhead::gateway

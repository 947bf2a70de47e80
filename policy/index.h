// Finds the policies of a call and the rules of a leaf without a scan. Internal to policy/.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/policy.h"
#include "policy/rules.h"

namespace bulkhead::policy {

// A path as the index looks for it; made once for each change.
class LeafKey {
 public:
  LeafKey(uint16_t leaf, std::span<const std::string_view> keys);
  // The hash with the keys in `wild` (a bit each) taken as [*].
  uint64_t Hash(unsigned wild) const;
  unsigned key_count() const { return count_; }

 private:
  uint16_t leaf_;
  unsigned count_ = 0;
  std::array<uint64_t, kMostKeys> hashes_ = {};
};

// The allow and deny rules of one policy by leaf. Immutable.
class RuleIndex {
 public:
  explicit RuleIndex(const Policy& policy);

  // Positions in policy.allow, or policy.deny, of the rules that may match: the caller compares the path. Exact paths
  // come before those with wildcards. `visit` returns false to stop.
  template <typename Visit>
  void Allow(const LeafKey& key, const Visit& visit) const {
    Each(allow_, key, visit);
  }
  template <typename Visit>
  void Deny(const LeafKey& key, const Visit& visit) const {
    Each(deny_, key, visit);
  }

 private:
  struct Entry {
    uint64_t hash;
    uint32_t rule;
  };
  struct Table {
    std::vector<Entry> entries;  // sorted by hash, then in the order of the file
    uint8_t wilds = 0;           // which sets of wildcards occur, a bit each
  };
  static Table MakeTable(const std::vector<Rule>& rules);
  static std::span<const Entry> Find(const Table& table, uint64_t hash);

  template <typename Visit>
  static void Each(const Table& table, const LeafKey& key, const Visit& visit) {
    for (unsigned wild = 0; wild < (1U << key.key_count()); ++wild) {
      if ((table.wilds >> wild & 1U) == 0) continue;
      for (const Entry& entry : Find(table, key.Hash(wild))) {
        if (!visit(entry.rule)) return;
      }
    }
  }

  Table allow_, deny_;
};

// What a policy needs at every decision, made when it is loaded.
struct CompiledPolicy {
  explicit CompiledPolicy(const Policy& policy);

  RuleIndex rules;
  std::string place, limits_place;
  std::vector<std::string> allow_places, deny_places, require_places, check_places;
};

struct PolicySet::State {
  void Add(Policy policy);
  // Positions of the policies that match, ascending.
  void Select(const Subject& subject, Rpc rpc, std::vector<uint32_t>& matching) const;

  std::vector<Policy> policies;
  std::vector<CompiledPolicy> compiled;               // of each policy
  std::unordered_map<std::string, uint32_t> by_name;  // position
  std::string texts;                                  // what the digest covers
  bool looks_at_request = false;                      // see PolicySet::LooksAtRequest

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using ByText = std::unordered_map<std::string, std::vector<uint32_t>, Hash, std::equal_to<>>;

  // By the plugin's name, or by what stands before the first '*' of the glob.
  struct ByPlugin {
    ByText exact;
    ByText prefixed;
    std::vector<size_t> prefix_lengths;  // sorted, each once
  };
  std::array<ByPlugin, kRpcCount> by_plugin_;
};

// Whether the policy is for the call; `rpc` is not looked at.
bool Matches(const Match& match, const Subject& subject);

}  // namespace bulkhead::policy

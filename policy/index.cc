#include "policy/index.h"

#include <algorithm>
#include <functional>

namespace bulkhead::policy {

namespace {

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9E3779B97F4A7C15U + (hash << 6U) + (hash >> 2U);
  hash *= 0xFF51AFD7ED558CCDU;
  return hash ^ (hash >> 32U);
}

constexpr uint64_t kWildHash = 0x2A;

unsigned WildsOf(const PathPattern& path) {
  unsigned wild = 0;
  for (size_t i = 0; i < path.keys().size(); ++i) {
    if (path.keys()[i].any) wild |= 1U << i;
  }
  return wild;
}

bool AnyGlob(const std::vector<std::string>& globs, std::string_view text) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) { return GlobMatches(glob, text); });
}

}  // namespace

LeafKey::LeafKey(uint16_t leaf, std::span<const std::string_view> keys) : leaf_(leaf) {
  for (const std::string_view key : keys) hashes_[count_++] = std::hash<std::string_view>()(key);
}

uint64_t LeafKey::Hash(unsigned wild) const {
  uint64_t hash = Mix(leaf_, wild);
  for (unsigned i = 0; i < count_; ++i) hash = Mix(hash, (wild >> i & 1U) != 0 ? kWildHash : hashes_[i]);
  return hash;
}

RuleIndex::RuleIndex(const Policy& policy) : allow_(MakeTable(policy.allow)), deny_(MakeTable(policy.deny)) {}

RuleIndex::Table RuleIndex::MakeTable(const std::vector<Rule>& rules) {
  Table table;
  table.entries.reserve(rules.size());
  for (size_t i = 0; i < rules.size(); ++i) {
    const PathPattern& path = rules[i].path;
    std::array<std::string_view, kMostKeys> keys;
    for (size_t k = 0; k < path.keys().size(); ++k) keys[k] = path.keys()[k].text;
    const unsigned wild = WildsOf(path);
    table.wilds = static_cast<uint8_t>(table.wilds | 1U << wild);
    const LeafKey key(path.leaf_id(), {keys.data(), path.keys().size()});
    table.entries.push_back({key.Hash(wild), static_cast<uint32_t>(i)});
  }
  std::sort(table.entries.begin(), table.entries.end(),
            [](const Entry& a, const Entry& b) { return a.hash != b.hash ? a.hash < b.hash : a.rule < b.rule; });
  return table;
}

std::span<const RuleIndex::Entry> RuleIndex::Find(const Table& table, uint64_t hash) {
  const auto first = std::lower_bound(table.entries.begin(), table.entries.end(), hash,
                                      [](const Entry& entry, uint64_t wanted) { return entry.hash < wanted; });
  auto last = first;
  while (last != table.entries.end() && last->hash == hash) ++last;
  return {first, last};
}

CompiledPolicy::CompiledPolicy(const Policy& policy) : rules(policy), place(policy.Place()) {
  limits_place = policy.limits.at.line == 0 ? place : policy.PlaceOf(policy.limits.at);
  for (const Rule& rule : policy.allow) allow_places.push_back(policy.PlaceOf(rule.at));
  for (const Rule& rule : policy.deny) deny_places.push_back(policy.PlaceOf(rule.at));
  for (const Rule& rule : policy.require) require_places.push_back(policy.PlaceOf(rule.at));
  for (const Check& check : policy.checks) check_places.push_back(policy.PlaceOf(check.at));
}

void PolicySet::State::Add(Policy policy) {
  const auto position = static_cast<uint32_t>(policies.size());
  const std::string& plugin = policy.match.plugin;
  const size_t star = plugin.find('*');
  for (const std::string& name : policy.match.rpcs) {
    const auto rpc = RpcByName(name);
    if (!rpc.has_value()) continue;
    ByPlugin& by_plugin = by_plugin_[static_cast<size_t>(*rpc)];
    auto& list = star == std::string::npos ? by_plugin.exact[plugin] : by_plugin.prefixed[plugin.substr(0, star)];
    if (list.empty() || list.back() != position) list.push_back(position);
    if (star == std::string::npos) continue;
    auto& lengths = by_plugin.prefix_lengths;
    const auto at = std::lower_bound(lengths.begin(), lengths.end(), star);
    if (at == lengths.end() || *at != star) lengths.insert(at, star);
  }
  by_name.emplace(policy.name, position);
  compiled.emplace_back(policy);
  policies.push_back(std::move(policy));
}

void PolicySet::State::Select(const Subject& subject, Rpc rpc, std::vector<uint32_t>& matching) const {
  matching.clear();
  const ByPlugin& by_plugin = by_plugin_[static_cast<size_t>(rpc)];
  const auto take = [&](const ByText& lists, std::string_view name) {
    const auto found = lists.find(name);
    if (found == lists.end()) return;
    for (const uint32_t position : found->second) {
      if (Matches(policies[position].match, subject)) matching.push_back(position);
    }
  };
  take(by_plugin.exact, subject.plugin);
  for (const size_t length : by_plugin.prefix_lengths) {
    if (length > subject.plugin.size()) break;
    take(by_plugin.prefixed, subject.plugin.substr(0, length));
  }
  std::sort(matching.begin(), matching.end());
}

bool Matches(const Match& match, const Subject& subject) {
  if (!GlobMatches(match.plugin, subject.plugin)) return false;
  if (!match.digest.empty() && match.digest != subject.plugin_digest) return false;
  if (!AnyGlob(match.namespaces, subject.name_space) || !AnyGlob(match.templates, subject.template_name)) return false;
  return std::all_of(match.workflow_labels.begin(), match.workflow_labels.end(), [&](const auto& label) {
    const Value* const value =
        subject.workflow_labels == nullptr ? nullptr : subject.workflow_labels->Find(label.first);
    return value != nullptr && value->is_string() && GlobMatches(label.second, value->text);
  });
}

}  // namespace bulkhead::policy

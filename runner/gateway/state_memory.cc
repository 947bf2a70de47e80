#include "runner/gateway/state_memory.h"

#include <algorithm>
#include <utility>

namespace bulkhead::gateway {

namespace {

constexpr auto kSweepEvery = std::chrono::minutes(1);
constexpr size_t kOverhead = 256;  // of an entry beside its text

size_t SizeOf(const Value& value) {
  size_t size = sizeof value + value.text.size();
  for (const Value& item : value.items) size += SizeOf(item);
  for (const Member& member : value.members) size += sizeof member + member.key.size() + SizeOf(member.value);
  return size;
}

}  // namespace

std::optional<KeptState> StateMemory::Take(std::string_view key, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = states_.find(key);
  if (found == states_.end()) return std::nullopt;
  std::vector<Entry>& entries = found->second;
  const auto first = std::min_element(entries.begin(), entries.end(),
                                      [](const Entry& a, const Entry& b) { return a.state.due < b.state.due; });
  if (first->state.due > now + limits_.early) return std::nullopt;
  KeptState state = std::move(first->state);
  bytes_ -= first->bytes;
  --count_;
  entries.erase(first);
  if (entries.empty()) states_.erase(found);
  return state;
}

bool StateMemory::Keep(std::string_view key, KeptState state, SteadyTime now) {
  const size_t bytes = kOverhead + SizeOf(state.node);
  const std::lock_guard lock(mutex_);
  if (now >= next_sweep_ || count_ >= limits_.states || bytes_ + bytes > limits_.bytes) ForgetOldLocked(now);
  if (count_ >= limits_.states || bytes_ + bytes > limits_.bytes) return false;
  states_[std::string(key)].push_back({std::move(state), bytes});
  bytes_ += bytes;
  ++count_;
  return true;
}

size_t StateMemory::size() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

void StateMemory::ForgetOldLocked(SteadyTime now) {
  next_sweep_ = now + kSweepEvery;
  for (auto entry = states_.begin(); entry != states_.end();) {
    std::erase_if(entry->second, [&](const Entry& kept) {
      if (kept.state.due + limits_.forget_after > now) return false;
      bytes_ -= kept.bytes;
      --count_;
      return true;
    });
    entry = entry->second.empty() ? states_.erase(entry) : std::next(entry);
  }
}

}  // namespace bulkhead::gateway

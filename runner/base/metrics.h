// Counters and gauges in the Prometheus text exposition format (version 0.0.4).
//
// A Metrics object is passed to whoever counts; there is no global registry. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace bulkhead {

class Metrics {
 public:
  // `name` like "bulkhead_calls_total"; `labels` like `plugin="slack",outcome="reply"` or empty; label
  // values must already be escaped with MetricLabel.
  void Add(std::string_view name, std::string_view labels = {}, uint64_t amount = 1);
  // A gauge: a value that is set, and may go down. Its name is no counter's.
  void Set(std::string_view name, std::string_view labels, uint64_t value);
  uint64_t Get(std::string_view name, std::string_view labels = {}) const;
  // All of them, sorted, with # TYPE lines.
  std::string Exposition() const;

 private:
  mutable std::mutex mutex_;
  uint64_t& SlotLocked(std::string_view name, std::string_view labels);

  std::map<std::string, std::map<std::string, uint64_t, std::less<>>, std::less<>> values_;
  std::set<std::string, std::less<>> gauges_;
};

// `key="value"` with the value's backslash, quote and newline escaped.
std::string MetricLabel(std::string_view key, std::string_view value);

}  // namespace bulkhead

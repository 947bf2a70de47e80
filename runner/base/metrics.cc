#include "runner/base/metrics.h"

namespace bulkhead {

void Metrics::Add(std::string_view name, std::string_view labels, uint64_t amount) {
  const std::lock_guard lock(mutex_);
  auto family = counters_.find(name);
  if (family == counters_.end()) family = counters_.emplace(std::string(name), decltype(family->second){}).first;
  auto counter = family->second.find(labels);
  if (counter == family->second.end()) counter = family->second.emplace(std::string(labels), 0).first;
  counter->second += amount;
}

uint64_t Metrics::Get(std::string_view name, std::string_view labels) const {
  const std::lock_guard lock(mutex_);
  const auto family = counters_.find(name);
  if (family == counters_.end()) return 0;
  const auto counter = family->second.find(labels);
  return counter == family->second.end() ? 0 : counter->second;
}

std::string Metrics::Exposition() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : counters_) {
    out += "# TYPE " + name + " counter\n";
    for (const auto& [labels, value] : family) {
      out += name;
      if (!labels.empty()) out += "{" + labels + "}";
      out += " " + std::to_string(value) + "\n";
    }
  }
  return out;
}

std::string MetricLabel(std::string_view key, std::string_view value) {
  std::string out(key);
  out += "=\"";
  for (const char c : value) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '"': out += "\\\""; break;
      case '\n': out += "\\n"; break;
      default: out += c;
    }
  }
  out += '"';
  return out;
}

}  // namespace bulkhead

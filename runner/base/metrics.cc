#include "runner/base/metrics.h"

namespace bulkhead {

uint64_t& Metrics::SlotLocked(std::string_view name, std::string_view labels) {
  auto family = values_.find(name);
  if (family == values_.end()) family = values_.emplace(std::string(name), decltype(family->second){}).first;
  auto value = family->second.find(labels);
  if (value == family->second.end()) value = family->second.emplace(std::string(labels), 0).first;
  return value->second;
}

void Metrics::Add(std::string_view name, std::string_view labels, uint64_t amount) {
  const std::lock_guard lock(mutex_);
  SlotLocked(name, labels) += amount;
}

void Metrics::Set(std::string_view name, std::string_view labels, uint64_t value) {
  const std::lock_guard lock(mutex_);
  SlotLocked(name, labels) = value;
  gauges_.emplace(name);
}

uint64_t Metrics::Get(std::string_view name, std::string_view labels) const {
  const std::lock_guard lock(mutex_);
  const auto family = values_.find(name);
  if (family == values_.end()) return 0;
  const auto counter = family->second.find(labels);
  return counter == family->second.end() ? 0 : counter->second;
}

std::string Metrics::Exposition() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : values_) {
    out += "# TYPE " + name + (gauges_.find(name) != gauges_.end() ? " gauge\n" : " counter\n");
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

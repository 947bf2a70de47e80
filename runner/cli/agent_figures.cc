#include "runner/cli/agent_figures.h"

#include <string>

namespace bulkhead::cli {

void AgentFigures::Show(const agent::Journal* journal) {
  const std::lock_guard lock(mutex_);
  journal_ = journal;
}

void AgentFigures::Show(const source::KubernetesSink* sink) {
  const std::lock_guard lock(mutex_);
  sink_ = sink;
}

void AgentFigures::Show(const kube::Lease* lease) {
  const std::lock_guard lock(mutex_);
  lease_ = lease;
}

void AgentFigures::Measure(Metrics& metrics) const {
  const std::lock_guard lock(mutex_);
  if (journal_ != nullptr) {
    metrics.Set("bulkhead_journal_tasks", "", journal_->size());
    metrics.Set("bulkhead_journal_bytes", "", journal_->bytes());
  }
  metrics.Set("bulkhead_results_pending", "", sink_ == nullptr ? 0 : sink_->pending());
  if (lease_ != nullptr) metrics.Set("bulkhead_lease_held", "", lease_->state() == kube::LeaseState::kHeld ? 1 : 0);
}

void AgentFigures::Describe(Value& detail) const {
  const std::lock_guard lock(mutex_);
  if (lease_ != nullptr) detail.Set("lease", Value::String(std::string(kube::LeaseStateName(lease_->state()))));
  detail.Set("resultsPending", Value::Number(sink_ == nullptr ? 0 : static_cast<int64_t>(sink_->pending())));
}

}  // namespace bulkhead::cli

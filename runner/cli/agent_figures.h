// The agent's own figures, for /metrics and /readyz.
#pragma once

#include <mutex>

#include "runner/agent/journal.h"
#include "runner/base/metrics.h"
#include "runner/base/value.h"
#include "runner/kube/lease.h"
#include "runner/source/kubernetes_sink.h"

namespace bulkhead::cli {

// Thread-safe. What is shown outlives its being shown: show null before it ends.
class AgentFigures {
 public:
  void Show(const agent::Journal* journal);
  void Show(const source::KubernetesSink* sink);
  void Show(const kube::Lease* lease);

  // Sets bulkhead_journal_tasks, bulkhead_journal_bytes, bulkhead_results_pending and bulkhead_lease_held.
  void Measure(Metrics& metrics) const;
  // Adds `lease` and `resultsPending` to the detail of /readyz.
  void Describe(Value& detail) const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  const agent::Journal* journal_ = nullptr;
  const source::KubernetesSink* sink_ = nullptr;
  const kube::Lease* lease_ = nullptr;
};

}  // namespace bulkhead::cli

// The local source: WorkflowTaskSets, and Workflows simple enough to need no controller, from files.
//
// A Workflow is taken when its entrypoint is a plugin or HTTP template, or `steps` of such templates with
// literal arguments. Whatever else it uses is an error naming the construct and its place: nothing is
// skipped or approximated.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "runner/agent/task.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::source {

// One document of the input. `stages` run one after the other, the tasks of one stage together; a stage
// starts when all tasks of the one before succeeded.
struct LocalSet {
  agent::WorkflowRef workflow;
  bool from_workflow = false;
  std::vector<std::vector<agent::Task>> stages;
};

// Reads every document of every file. All errors of a document come in one message. Secrets and plugin
// manifests in the files are errors that say where they belong.
Result<std::vector<LocalSet>> LoadSets(const std::vector<std::string>& paths);

// Argo's node id: the workflow's name for its root node, else "<workflow>-<FNV-1a of the node's name>"
// (Workflow.NodeID in pkg/apis/workflow/v1alpha1/workflow_types.go).
std::string NodeId(std::string_view workflow, std::string_view node_name);

// Feeds the sets to the agent and keeps what comes back. Thread-safe between Start and the agent's end.
class LocalRun : public agent::TaskSource, public agent::ResultSink {
 public:
  // Told of each report as it arrives, for progress; may be empty.
  using Observer = std::function<void(const agent::TaskReport&)>;

  LocalRun(std::vector<LocalSet> sets, Observer observer);

  void Start(agent::TaskQueue& queue) override;
  void Deliver(const agent::TaskReport& report) override;

  // After the agent has ended. In the order of the input; tasks of stages that never started have phase
  // "Omitted" and say which task stopped them.
  std::vector<agent::TaskReport> Reports() const;
  // One WorkflowTaskSet per set with its status.nodes, as Argo's controller would read it; a List when
  // there are several.
  Value Status() const;
  size_t total() const { return total_; }

 private:
  struct Slot {
    size_t set = 0;
    size_t stage = 0;
    agent::TaskReport report;
    bool delivered = false;
  };
  void StartStage(size_t set, size_t stage);

  const std::vector<LocalSet> sets_;
  const Observer observer_;
  size_t total_ = 0;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  agent::TaskQueue* queue_ = nullptr;
  std::map<uint64_t, Slot> slots_;  // by task id, which counts up in the order of the input
  std::vector<size_t> pending_;     // per set: tasks of the current stage that are not final
  std::vector<bool> failed_;        // per set
  size_t open_sets_ = 0;
};

}  // namespace bulkhead::source

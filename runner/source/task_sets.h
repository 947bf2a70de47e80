// TaskSets: what is known of the task sets that are watched, and what each object of the API server changes about it.
//
// A task is given to the agent once: when its node is first seen without a fulfilled result. So an event that comes
// twice, a list in the middle, or a task set that was changed by others runs nothing twice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "runner/agent/journal.h"
#include "runner/agent/task.h"
#include "runner/base/log.h"
#include "runner/base/metrics.h"
#include "runner/base/value.h"

namespace bulkhead::source {

struct TaskSetsOptions {
  bool one = false;          // one task set is watched: its end is told, and nothing more is given after it
  std::string workflow_uid;  // a task set of another workflow is not touched; empty: of any
};

// Not thread-safe.
class TaskSets {
 public:
  enum class End { kCompleted, kDeleted };

  // Tasks that are gone from their task set: what was not delivered of them is not to be.
  using OnGoneTasks = std::function<void(const agent::WorkflowRef& workflow, const std::vector<std::string>& nodes)>;

  // Everything outlives this object; `journal` may be null. `on_end`: once, when the one task set that is watched is
  // completed or gone.
  TaskSets(const Logger& log, Metrics& metrics, agent::Journal* journal, TaskSetsOptions options,
           OnGoneTasks on_gone_tasks, std::function<void(End)> on_end);

  // Where tasks go; before anything else is called.
  void GiveTo(agent::TaskQueue& queue) { queue_ = &queue; }

  // A WorkflowTaskSet as it is now. One that says nothing of itself is passed over.
  void OnSet(const Value& object);
  // It does not exist any more.
  void OnDeleted(const Value& object);
  // A list is over that had these uids and no other.
  void OnListed(const std::set<std::string>& present);

  bool ended() const { return ended_; }
  size_t size() const { return sets_.size(); }

 private:
  struct Known {
    uint64_t task_id = 0;  // 0: it had its result when it was first seen
  };
  struct Set {
    std::string name;
    std::string workflow_uid;
    std::map<std::string, Known, std::less<>> nodes;
    // Nodes that were there before: Argo's retry of a workflow brings the same ids again, as new tasks.
    std::map<std::string, int, std::less<>> generations;
  };

  void OnTasks(Set& set, const Value& object, const agent::WorkflowRef& workflow);
  void OnGone(const std::string& uid, End end);

  const Logger& log_;
  Metrics& metrics_;
  agent::Journal* const journal_;
  const TaskSetsOptions options_;
  const OnGoneTasks on_gone_tasks_;
  const std::function<void(End)> on_end_;

  agent::TaskQueue* queue_ = nullptr;
  std::map<std::string, Set> sets_;  // by uid
  uint64_t next_id_ = 1;
  bool ended_ = false;
};

// The uid in an object's metadata; "" when it has none.
std::string UidOf(const Value& object);

}  // namespace bulkhead::source

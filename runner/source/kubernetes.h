// The Kubernetes source: the tasks of one WorkflowTaskSet, or of all in a namespace.
//
// Lists, then watches from the version of the list; the server's bookmarks move that version on, 410 lists anew, and
// whatever else breaks the watch is tried again from where it was, with growing, jittered pauses. A task is given to
// the agent once: when its node is first seen without a fulfilled result. So an event that comes twice, a list in the
// middle, or a task set that was changed by others runs nothing twice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runner/agent/journal.h"
#include "runner/agent/task.h"
#include "runner/base/log.h"
#include "runner/base/metrics.h"
#include "runner/base/value.h"
#include "runner/kube/client.h"

namespace bulkhead::source {

struct KubernetesOptions {
  std::string name_space;
  std::string workflow;      // one task set; empty: all of the namespace
  std::string workflow_uid;  // with `workflow`: a task set of another workflow of that name is not touched
  std::string instance_id;   // without `workflow`: those of this controller instance; empty: of the one without an id
  std::function<void()> on_listed;  // from the source's thread, after each list; may be empty
};

class KubernetesSource : public agent::TaskSource {
 public:
  enum class End { kCompleted, kDeleted };

  // Tasks that are gone from their task set: what was not delivered of them is not to be.
  using OnGoneTasks = std::function<void(const agent::WorkflowRef& workflow, const std::vector<std::string>& nodes)>;

  // Everything outlives the source; `journal` may be null. Both functions are called from the source's thread;
  // `on_end` once, when the one task set that is watched is completed or gone.
  KubernetesSource(kube::Client& client, const Logger& log, Metrics& metrics, agent::Journal* journal,
                   KubernetesOptions options, OnGoneTasks on_gone_tasks, std::function<void(End)> on_end);
  ~KubernetesSource() override;  // Stop()

  // From here a thread of the source adds tasks. Never closes the queue: the agent's end is `on_end` or a signal.
  void Start(agent::TaskQueue& queue) override;
  // Ends the client's requests and waits for the thread.
  void Stop();

 private:
  struct Known {
    uint64_t task_id = 0;  // 0: it had its result when it was first seen
    int generation = 0;
  };
  struct Set {
    std::string name;
    std::string workflow_uid;
    std::map<std::string, Known, std::less<>> nodes;
    // Nodes that were there before: Argo's retry of a workflow brings the same ids again, as new tasks.
    std::map<std::string, int, std::less<>> generations;
  };

  void Run();
  // The version to watch from, or the answer that says why there is none.
  kube::Answer List(std::string& version);
  // Until the watch ends for whatever reason.
  kube::Answer Watch(std::string& version);
  bool OnLine(std::string_view line, std::string& version, kube::Answer& failure);
  void OnSet(const Value& object);
  void OnTasks(Set& set, const Value& object, const agent::WorkflowRef& workflow);
  int GenerationOf(const Set& set, const std::string& node) const;
  void OnGone(const std::string& uid, End end);
  std::string Selector() const;
  bool Sleep(kube::Backoff& backoff, const kube::Answer& answer, std::string_view what);

  kube::Client& client_;
  const Logger& log_;
  Metrics& metrics_;
  agent::Journal* const journal_;
  const KubernetesOptions options_;
  const OnGoneTasks on_gone_tasks_;
  const std::function<void(End)> on_end_;

  // Of the thread.
  agent::TaskQueue* queue_ = nullptr;
  std::map<std::string, Set> sets_;  // by uid
  uint64_t next_id_ = 1;
  bool ended_ = false;
  bool saw_event_ = false;

  std::thread thread_;
};

}  // namespace bulkhead::source

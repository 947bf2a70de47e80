// The Kubernetes source: the tasks of one WorkflowTaskSet, or of all in a namespace.
//
// Lists, then watches from the version of the list; the server's bookmarks move that version on, 410 lists anew, and
// whatever else breaks the watch is tried again from where it was, with growing, jittered pauses. What an object means
// is TaskSets' to say.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "runner/agent/journal.h"
#include "runner/agent/task.h"
#include "runner/base/log.h"
#include "runner/base/metrics.h"
#include "runner/kube/client.h"
#include "runner/source/task_sets.h"

namespace bulkhead::source {

struct KubernetesOptions {
  std::string name_space;
  std::string workflow;      // one task set; empty: all of the namespace
  std::string workflow_uid;  // with `workflow`: a task set of another workflow of that name is not touched
  std::string instance_id;   // without `workflow`: those of this controller instance; empty: of the one without an id
};

class KubernetesSource : public agent::TaskSource {
 public:
  // Everything outlives the source; `journal` may be null. Both functions are called from the source's thread, as
  // TaskSets says.
  KubernetesSource(kube::Client& client, const Logger& log, Metrics& metrics, agent::Journal* journal,
                   KubernetesOptions options, TaskSets::OnGoneTasks on_gone_tasks,
                   std::function<void(TaskSets::End)> on_end);
  ~KubernetesSource() override;  // Stop()

  // From here a thread of the source adds tasks. Never closes the queue: the agent's end is `on_end` or a signal.
  void Start(agent::TaskQueue& queue) override;
  // Ends the client's requests and waits for the thread.
  void Stop();

 private:
  void Run();
  // The version to watch from, or the answer that says why there is none.
  kube::Answer List(std::string& version);
  // Until the watch ends for whatever reason.
  kube::Answer Watch(std::string& version);
  bool OnLine(std::string_view line, std::string& version, kube::Answer& failure);
  std::string Selector() const;
  bool Sleep(kube::Backoff& backoff, const kube::Answer& answer, std::string_view what);

  kube::Client& client_;
  const Logger& log_;
  Metrics& metrics_;
  const KubernetesOptions options_;

  // Of the thread.
  TaskSets sets_;
  bool saw_event_ = false;

  std::thread thread_;
};

}  // namespace bulkhead::source

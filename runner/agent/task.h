// The values that travel through the agent, and the two interfaces at its ends. What a source or a sink
// needs to know of the agent is in this header and nowhere else.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/value.h"

namespace bulkhead::agent {

struct WorkflowRef {
  std::string name;
  std::string name_space;
  std::string uid;
};

// One plugin or HTTP template to execute: immutable after the source made it.
struct Task {
  uint64_t id = 0;  // unique among the tasks of one agent
  WorkflowRef workflow;
  std::string node;  // Argo's node id, the key of status.nodes
  std::string template_name;
  std::vector<std::string> plugin_keys;  // the keys of template.plugin (Argo allows exactly one)
  std::string request;                   // the RPC's body: {"workflow":{"metadata":{...}},"template":{...}}
  // What the journal knows the task by; empty: nothing is journalled, and calls carry no idempotency key.
  std::string key;
  // How many tasks of the same key there were before: a workflow that is tried again brings its node ids again.
  int generation = 0;
  // Set: the task cannot be executed, and fails with this sentence without any plugin being asked.
  std::string defect;

  // template.http, for an HTTP template: a mapping, read strictly when it is executed. Null for a plugin template.
  Value http;

  bool is_http() const { return !http.is_null(); }
};

// "Succeeded", "Skipped", "Omitted", "Failed" and "Error" end a node (Argo's NodePhase.Fulfilled).
bool IsFulfilled(std::string_view phase);

// Which defence ended a task, for people and for metrics. kNone: the plugin's own result stands.
enum class Layer {
  kNone,
  kTask,     // the task itself: it cannot be read, or nothing here executes it
  kSandbox,  // the compartment ended the plugin, or could not be had
  kRpc,      // no trustworthy HTTP answer within the bounds
  kDecode,   // the reply's bytes
  kPolicy,   // the reply's mutations, or where an HTTP template may go
  kTimeout,  // the bound on the whole run
};
std::string_view LayerName(Layer layer);  // "", "sandbox", "rpc", ...

// What is delivered for a task: an interim result while it is requeued, then a final one.
struct TaskReport {
  uint64_t task_id = 0;
  std::string key;     // the task's
  int generation = 0;  // the task's
  std::string name_space;
  std::string workflow;
  std::string node;
  std::string template_name;
  std::string plugin;  // the plugin that answered or failed; empty when none was asked
  std::string tier;    // its compartment's tier; empty when none was asked
  std::string phase;
  std::string message;  // redacted; may hold plugin text, so escape it for a terminal
  Value result;         // NodeResult {phase, message, outputs, progress}, redacted, encoded anew
  bool final = true;
  bool recovered = false;  // an agent before this one had it, and may have delivered it
  Layer stopped_by = Layer::kNone;
  int calls = 0;                        // RPC attempts so far, all plugins
  std::chrono::nanoseconds elapsed{0};  // in calls, so far
  size_t allowed = 0;                   // mutations of the reply that decided
  size_t refused = 0;
  size_t masked = 0;                                // secrets masked in it
  std::optional<std::chrono::nanoseconds> requeue;  // interim: when it runs again
};

// Where tasks go in. Thread-safe.
class TaskQueue {
 public:
  virtual ~TaskQueue() = default;
  virtual void Add(Task task) = 0;
  // The task does not exist any more: it is not begun again. What runs of it now goes on to its end.
  virtual void Cancel(uint64_t /*task_id*/) {}
  // No more tasks will come: the agent ends when the last one is final.
  virtual void Close() = 0;
};

class TaskSource {
 public:
  virtual ~TaskSource() = default;
  // Adds the tasks that are known now; may keep `queue` and add more until it closes it.
  virtual void Start(TaskQueue& queue) = 0;
};

class ResultSink {
 public:
  virtual ~ResultSink() = default;
  // Called once the report's audit record is durable, from one thread at a time, and never again for
  // a task after its final report. Must be quick.
  virtual void Deliver(const TaskReport& report) = 0;
};

}  // namespace bulkhead::agent

// Agent: takes tasks from a source, executes each by the plugins under the policy, and hands the results
// to a sink, each after its audit record.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/holder.h"
#include "runner/agent/journal.h"
#include "runner/agent/plugin_host.h"
#include "runner/agent/scheduler.h"
#include "runner/agent/task.h"

namespace bulkhead::agent {

struct Judgement;

struct AgentOptions {
  size_t workers = 16;                              // tasks at once for each plugin
  std::optional<std::chrono::nanoseconds> timeout;  // of the whole run
  // After Interrupt: how long calls in flight may go on before their plugins are ended.
  std::chrono::nanoseconds drain{0};
  // Tasks that are not final when the run ends: delivered with phase Error, or left for whoever comes next.
  bool report_unfinished = true;
  Journal* journal = nullptr;  // outlives the agent; nullptr: nothing is journalled
  // A call that was in flight when an agent before this one died: made again, or the task fails.
  bool repeat_in_flight = true;
};

// How a run ended.
struct RunOutcome {
  bool timed_out = false;
  bool interrupted = false;
  std::optional<Error> audit_failure;  // set: results after it were not applied
};

class Agent {
 public:
  // Everything outlives the agent. `hosts` in the order in which plugins are asked.
  Agent(std::vector<PluginHost*> hosts, const policy::Holder& policies, HostServices services, AgentOptions options);
  ~Agent();

  // Runs until the source has closed and every task is final, the timeout, Interrupt(), or the first
  // record that cannot be written. Call once. The source may go on to add tasks until the agent is destroyed; they
  // are then not run.
  RunOutcome Run(TaskSource& source, ResultSink& sink);

  // Ends Run early: no further call is begun. Thread-safe.
  void Interrupt();
  // The same, without the drain: nobody may run anything any more. Thread-safe.
  void Abort();

  // A record of the audit log or the journal could not be written: nothing more is applied and Run ends. Thread-safe.
  void FailAudit(const Error& error);

 private:
  // What one execution of a task came to: its records, in order, and its report.
  struct Step {
    std::vector<audit::Record> records;
    TaskReport report;
  };

  class Intake;

  void Take(Task task);
  void Recover(std::shared_ptr<TaskState> state, Remembered remembered);
  void Execute(std::shared_ptr<TaskState> state);
  Status Remember(const TaskState& state, const TaskReport& report);
  bool Cancelled(const Task& task);
  Step RunTask(TaskState& state);
  bool AskPlugin(PluginHost& host, TaskState& state, Step& step);
  Judgement JudgeReply(const PluginHost& host, const TaskState& state, std::string_view reply) const;
  std::vector<PluginHost*> Route(const Task& task) const;
  void Commit(Step step, std::shared_ptr<TaskState> state);
  void FinishUnfinished(const std::vector<std::shared_ptr<TaskState>>& unfinished, const RunOutcome& outcome);
  void WaitCommitted();

  const std::unique_ptr<Intake> intake_;
  const std::vector<PluginHost*> hosts_;
  const policy::Holder& policies_;
  HostServices services_;
  const AgentOptions options_;

  std::unique_ptr<Scheduler> scheduler_;
  ResultSink* sink_ = nullptr;
  SteadyTime deadline_ = SteadyTime::max();

  std::atomic<bool> ending_{false};  // the run ends early: plugins are being stopped
  std::atomic<bool> aborted_{false};
  std::atomic<size_t> uncommitted_{0};  // steps whose last record is not durable yet

  std::mutex mutex_;
  std::optional<Error> audit_failure_;  // guarded by mutex_
  bool interrupted_ = false;            // guarded by mutex_
};

}  // namespace bulkhead::agent

#include "runner/agent/agent.h"

#include <algorithm>
#include <span>
#include <utility>

#include "runner/agent/http_task.h"
#include "runner/agent/judge.h"
#include "runner/agent/records.h"
#include "runner/agent/report.h"
#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::agent {

namespace {

constexpr std::string_view kMethod = "template.execute";
constexpr auto kLongestCall = std::chrono::hours(24);

TaskReport NewReport(const TaskState& state) {
  TaskReport report;
  report.task_id = state.task.id;
  report.key = state.task.key;
  report.generation = state.task.generation;
  report.name_space = state.task.workflow.name_space;
  report.workflow = state.task.workflow.name;
  report.node = state.task.node;
  report.template_name = state.task.template_name;
  return report;
}

TaskKey KeyOf(const Task& task) {
  return {task.key, task.generation};
}

// For metrics: whatever a plugin writes there, there are few of them.
std::string_view KnownPhase(std::string_view phase) {
  return IsFulfilled(phase) || phase == "Running" || phase == "Pending" ? phase : "other";
}

// The same for the same reply that is waited for, in whichever process; another after each reply.
std::string IdempotencyHeaders(const TaskState& state) {
  if (state.task.key.empty()) return "";
  constexpr size_t kDigits = 32;
  const std::string hash =
      Sha256Hex(state.task.key + "\n" + std::to_string(state.task.generation) + "\n" + std::to_string(state.step));
  return "Idempotency-Key: " + hash.substr(0, kDigits) + "\r\nBulkhead-Attempt: " + std::to_string(state.attempt) +
         "\r\n";
}

}  // namespace

// Where the source puts its tasks.
class Agent::Intake : public TaskQueue {
 public:
  explicit Intake(Agent& agent) : agent_(agent) {}
  void Add(Task task) override { agent_.Take(std::move(task)); }
  void Cancel(uint64_t task_id) override { agent_.scheduler_->Cancel(task_id); }
  void Close() override { agent_.scheduler_->Close(); }

 private:
  Agent& agent_;
};

Agent::Agent(std::vector<PluginHost*> hosts, const policy::Holder& policies, HostServices services,
             AgentOptions options)
    : intake_(std::make_unique<Intake>(*this)),
      hosts_(std::move(hosts)),
      policies_(policies),
      services_(std::move(services)),
      options_(options) {}

Agent::~Agent() = default;

RunOutcome Agent::Run(TaskSource& source, ResultSink& sink) {
  sink_ = &sink;
  if (options_.timeout.has_value()) deadline_ = std::chrono::steady_clock::now() + *options_.timeout;
  const auto lane_of = [this](const Task& task) {
    if (task.is_http()) return std::string(kHttpLane);
    const std::vector<PluginHost*> route = Route(task);
    return route.size() == 1 ? route.front()->name() : std::string();
  };
  {
    const std::lock_guard lock(mutex_);
    scheduler_ = std::make_unique<Scheduler>(options_.workers, lane_of,
                                             [this](std::shared_ptr<TaskState> state) { Execute(std::move(state)); });
    if (interrupted_) scheduler_->Interrupt();
  }
  source.Start(*intake_);
  const bool done = scheduler_->WaitDone(deadline_);

  RunOutcome outcome;
  {
    const std::lock_guard lock(mutex_);
    outcome.interrupted = interrupted_;
    outcome.audit_failure = audit_failure_;
  }
  outcome.timed_out = !done && !outcome.interrupted && !outcome.audit_failure.has_value();
  // Calls in flight end when their plugins do.
  if (!done) {
    if (outcome.interrupted && !outcome.audit_failure.has_value() && !aborted_)
      scheduler_->WaitIdle(std::chrono::steady_clock::now() + options_.drain);
    ending_ = true;
    if (services_.http != nullptr) services_.http->Stop();
    for (PluginHost* host : hosts_) host->Stop();
  }
  scheduler_->JoinWorkers();
  WaitCommitted();
  // From here nobody else delivers, and what is still active had no result.
  const auto unfinished = scheduler_->TakeUnfinished();
  if (!done && options_.report_unfinished) FinishUnfinished(unfinished, outcome);
  return outcome;
}

// A task of the source: new, or one that an agent before this one had begun.
void Agent::Take(Task task) {
  auto state = std::make_shared<TaskState>();
  state->task = std::move(task);
  Remembered remembered;
  if (options_.journal != nullptr && !state->task.key.empty()) remembered = options_.journal->Recall(state->task.key);
  if (remembered.stage == Remembered::Stage::kUnknown) return scheduler_->Resume(std::move(state), {});
  Recover(std::move(state), std::move(remembered));
}

void Agent::Recover(std::shared_ptr<TaskState> state, Remembered remembered) {
  using Stage = Remembered::Stage;
  if (remembered.stage == Stage::kDelivered) return;
  services_.metrics->Add("bulkhead_tasks_recovered_total");
  state->step = remembered.step;
  state->requeues = static_cast<uint32_t>(std::min<uint64_t>(remembered.step, UINT32_MAX));
  if (remembered.stage == Stage::kInterim) {
    state->node = std::move(remembered.node);
    // The clock may have been set back since.
    const std::chrono::nanoseconds left = remembered.due - std::chrono::system_clock::now();
    const auto delay = std::clamp(left, std::chrono::nanoseconds(0), remembered.wait);
    return scheduler_->Resume(std::move(state), delay);
  }
  if (remembered.stage == Stage::kStarted && options_.repeat_in_flight) {
    state->node = std::move(remembered.node);
    state->attempt = remembered.attempt + 1;
    return scheduler_->Resume(std::move(state), {});
  }
  // It has its end already, and its record may not have become durable then.
  Step step;
  step.report = NewReport(*state);
  if (remembered.stage == Stage::kStarted) {
    EndWith("Error", Layer::kRpc,
            "the agent ended during the call, so it is not known whether the plugin did its work; calls in flight are "
            "not repeated here (--in-flight fail)",
            step.report);
  } else {
    step.report.result = std::move(remembered.node);
    if (const Value* phase = step.report.result.Find("phase")) step.report.phase = phase->text;
    if (const Value* message = step.report.result.Find("message")) step.report.message = message->text;
  }
  step.report.recovered = true;
  step.records.push_back(RecoveredRecord(state->task, step.report));
  scheduler_->Track(state);
  Commit(std::move(step), std::move(state));
}

// The way of a task: asked of a plugin, judged, recorded; only then it leaves.
void Agent::Execute(std::shared_ptr<TaskState> state) {
  if (options_.journal != nullptr && !state->task.key.empty()) {
    const Status started = options_.journal->Start(KeyOf(state->task), state->step, state->attempt);
    if (!started.ok()) return FailAudit(started.error());
    if (Cancelled(state->task)) return;
  }
  Step step = RunTask(*state);
  // A call that ended because its plugin was stopped tells nothing of the plugin: the task stays unfinished.
  const bool broken_off = step.report.stopped_by == Layer::kRpc || step.report.stopped_by == Layer::kSandbox;
  if (ending_ && broken_off) return;
  Commit(std::move(step), std::move(state));
}

Agent::Step Agent::RunTask(TaskState& state) {
  Step step;
  step.report = NewReport(state);
  if (!state.task.defect.empty()) {
    EndWith("Failed", Layer::kTask, services_.redactor->Redact(state.task.defect), step.report);
    step.records.push_back(RefusalRecord(state.task, step.report));
    return step;
  }
  if (state.task.is_http()) {
    // Not until deadline_: when that comes, the run ends, and stops what is under way.
    const SteadyTime deadline = std::chrono::steady_clock::now() + kLongestCall;
    step.records.push_back(RunHttpTask(state.task, services_.http, deadline, *services_.metrics, step.report));
    return step;
  }
  bool answered = false;
  for (PluginHost* host : Route(state.task)) {
    if (!host->Serves(kMethod)) continue;
    answered = AskPlugin(*host, state, step);
    if (answered) break;
  }
  if (!answered) {
    std::string keys = Join(state.task.plugin_keys, ", ");
    EndWith("Failed", Layer::kRpc,
            "no plugin executed the template (template.plugin: " + services_.redactor->Redact(EscapeForTerminal(keys)) +
                ")",
            step.report);
    step.records.push_back(RefusalRecord(state.task, step.report));
  }
  step.report.calls = state.calls;
  step.report.elapsed = state.elapsed;
  return step;
}

// One plugin is asked; true when that decides the task.
bool Agent::AskPlugin(PluginHost& host, TaskState& state, Step& step) {
  const SteadyTime deadline = std::min(deadline_, std::chrono::steady_clock::now() + kLongestCall);
  const HostCall call = host.Call(kMethod, state.task.request, deadline, IdempotencyHeaders(state));
  state.calls += call.result.attempts;
  state.elapsed += call.result.elapsed;

  TaskReport& report = step.report;
  report.plugin = host.name();
  report.tier = host.tier();
  Judgement judgement;
  bool decided = true;
  if (call.result.outcome == rpc::Outcome::kReply) {
    judgement = JudgeReply(host, state, call.result.body);
    report.allowed = judgement.allowed;
    report.refused = judgement.refused;
    report.masked = judgement.masked;
    switch (judgement.kind) {
      case Judgement::Kind::kNotMine: decided = false; break;
      case Judgement::Kind::kApplied:
        state.node = judgement.effective;
        ++state.requeues;
        EndWithEffective(judgement.effective, judgement.requeue, report);
        break;
      case Judgement::Kind::kRefused: EndWith("Error", judgement.layer, judgement.message, report); break;
    }
  } else if (call.sandbox_reason.has_value()) {
    EndWith("Failed", Layer::kSandbox, services_.redactor->Redact(*call.sandbox_reason), report);
  } else if (call.result.outcome == rpc::Outcome::kNotSupported) {
    decided = false;
  } else {
    EndWith("Failed", Layer::kRpc, services_.redactor->Redact(call.result.reason), report);
  }
  step.records.push_back(CallRecord(state.task, {host.name(), host.tier(), kMethod}, call, judgement, report, decided));
  CountCall(host.name(), call.result, judgement, report, *services_.metrics);
  return decided;
}

Judgement Agent::JudgeReply(const PluginHost& host, const TaskState& state, std::string_view reply) const {
  // What was sent, for rules that look at the workflow's labels or the template. Labels may differ by case only.
  const std::shared_ptr<const policy::PolicySet> policies = policies_.Get();
  JsonParse request;
  if (policies->LooksAtRequest()) {
    JsonLimits limits;
    limits.bytes = state.task.request.size();
    limits.fold_keys = false;
    request = ParseJson(state.task.request, limits);
  }
  const Value* const workflow = request.value.Find("workflow");
  const Value* const metadata = workflow == nullptr ? nullptr : workflow->Find("metadata");
  const Value sent = AsSent(state.node);
  policy::Call call;
  call.subject = {host.name(), kMethod, state.task.workflow.name_space, state.task.workflow.name,
                  state.task.template_name};
  call.subject.plugin_digest = host.image_digest();
  call.subject.workflow_labels = metadata == nullptr ? nullptr : metadata->Find("labels");
  call.sent = &sent;
  call.template_spec = request.value.Find("template");
  call.now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  call.requeues = state.requeues;
  return Judge(reply, call, *policies, *services_.redactor);
}

// The plugins to ask, in order: the one that declares the template's key, else all that declare nothing.
std::vector<PluginHost*> Agent::Route(const Task& task) const {
  std::vector<PluginHost*> undeclared;
  for (PluginHost* host : hosts_) {
    const std::optional<bool> handles = host->Handles(task.plugin_keys);
    if (handles.has_value() && *handles) return {host};
    if (!handles.has_value()) undeclared.push_back(host);
  }
  return undeclared;
}

// What must not be lost if the process ends between here and the delivery.
Status Agent::Remember(const TaskState& state, const TaskReport& report) {
  if (options_.journal == nullptr || report.key.empty()) return OkStatus();
  if (report.final) return options_.journal->Final(KeyOf(state.task), report.result);
  return options_.journal->Interim(KeyOf(state.task), state.step + 1, report.result,
                                   std::chrono::system_clock::now() + *report.requeue, *report.requeue);
}

// Looked at after each record of the journal: whoever cancels a task has it forgotten after that, so that of the two
// at least one comes after the record.
bool Agent::Cancelled(const Task& task) {
  if (scheduler_->IsActive(task.id)) return false;
  if (options_.journal != nullptr && !task.key.empty()) {
    const TaskKey key = KeyOf(task);
    const Status forgotten = options_.journal->Forget(std::span(&key, 1));
    if (!forgotten.ok()) FailAudit(forgotten.error());
  }
  return true;
}

void Agent::Commit(Step step, std::shared_ptr<TaskState> state) {
  if (const Status remembered = Remember(*state, step.report); !remembered.ok()) return FailAudit(remembered.error());
  // Its record is due all the same.
  const bool cancelled = Cancelled(state->task);
  for (audit::Record& record : step.records) services_.redactor->RedactTree(record.fields);
  uncommitted_.fetch_add(1);
  // A record before the last matters only if it can't be written.
  for (size_t i = 0; i + 1 < step.records.size(); ++i) {
    services_.audit->Append(std::move(step.records[i]), [this](const Status& status) {
      if (!status.ok()) FailAudit(status.error());
    });
  }
  audit::Record last = std::move(step.records.back());
  services_.audit->Append(std::move(last), [this, cancelled, report = std::move(step.report),
                                            state = std::move(state)](const Status& status) mutable {
    if (!status.ok()) {
      FailAudit(status.error());
    } else if (!cancelled) {
      // From here the outcome is on record; only now may it leave the process.
      services_.metrics->Add("bulkhead_results_total", MetricLabel("phase", KnownPhase(report.phase)));
      sink_->Deliver(report);
      if (report.final) {
        scheduler_->Finish(report.task_id);
      } else {
        ++state->step;
        state->attempt = 1;
        scheduler_->Requeue(std::move(state), *report.requeue);
      }
    }
    if (uncommitted_.fetch_sub(1) == 1) uncommitted_.notify_all();
  });
}

void Agent::WaitCommitted() {
  for (size_t left = uncommitted_.load(); left != 0; left = uncommitted_.load()) uncommitted_.wait(left);
}

void Agent::FinishUnfinished(const std::vector<std::shared_ptr<TaskState>>& unfinished, const RunOutcome& outcome) {
  for (const auto& state : unfinished) {
    TaskReport report = NewReport(*state);
    std::string reason = "the run was interrupted before the task ended";
    if (outcome.timed_out) reason = "not finished within --timeout " + FormatGoDuration(*options_.timeout);
    if (outcome.audit_failure.has_value()) reason = "not applied: the audit log cannot be written";
    EndWith("Error", Layer::kTimeout, reason, report);
    report.calls = state->calls;
    report.elapsed = state->elapsed;
    if (outcome.audit_failure.has_value()) {
      // Nothing was applied: what the sink gets is only that it was not.
      sink_->Deliver(report);
      continue;
    }
    audit::Record record = RefusalRecord(state->task, report);
    services_.redactor->RedactTree(record.fields);
    const Status recorded = services_.audit->AppendSync(std::move(record));
    if (!recorded.ok()) {
      FailAudit(recorded.error());
      continue;
    }
    sink_->Deliver(report);
  }
}

void Agent::FailAudit(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!audit_failure_.has_value()) audit_failure_ = error;
  if (scheduler_ != nullptr) scheduler_->Interrupt();
}

void Agent::Abort() {
  aborted_ = true;
  // Before the plugins are stopped: what their calls come to then is no result.
  ending_ = true;
  Interrupt();
  if (services_.http != nullptr) services_.http->Stop();
  for (PluginHost* host : hosts_) host->Stop();
}

void Agent::Interrupt() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  if (scheduler_ != nullptr) scheduler_->Interrupt();
}

}  // namespace bulkhead::agent

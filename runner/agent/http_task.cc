#include "runner/agent/http_task.h"

#include "runner/agent/records.h"

namespace bulkhead::agent {

namespace {

Layer LayerOf(http::HttpStop stop) {
  switch (stop) {
    case http::HttpStop::kNone: return Layer::kNone;
    case http::HttpStop::kPolicy: return Layer::kPolicy;
    case http::HttpStop::kTransport: return Layer::kRpc;
    case http::HttpStop::kTemplate: return Layer::kTask;
  }
  return Layer::kNone;
}

http::HttpOutcome Execute(const Task& task, http::Executor* executor, SteadyTime deadline) {
  if (executor != nullptr)
    return executor->Execute({task.workflow.name_space, task.template_name, &task.http}, deadline);
  http::HttpOutcome outcome;
  outcome.phase = "Error";
  outcome.message = "HTTP templates are not executed by this agent";
  outcome.stop = http::HttpStop::kPolicy;
  return outcome;
}

}  // namespace

audit::Record RunHttpTask(const Task& task, http::Executor* executor, SteadyTime deadline, Metrics& metrics,
                          TaskReport& report) {
  http::HttpOutcome outcome = Execute(task, executor, deadline);
  report.phase = outcome.phase;
  report.message = outcome.message;
  report.stopped_by = LayerOf(outcome.stop);
  report.masked = outcome.masked;
  report.elapsed = outcome.elapsed;
  for (const http::HttpHop& hop : outcome.hops) report.calls += hop.rules.empty() ? 0 : 1;
  // Argo's agent writes the message even when it is empty; an absent one reads the same.
  report.result = Value::Object();
  report.result.Set("phase", Value::String(report.phase));
  if (!report.message.empty()) report.result.Set("message", Value::String(report.message));
  if (outcome.result.has_value()) {
    Value outputs = Value::Object();
    outputs.Set("result", Value::String(*outcome.result));
    report.result.Set("outputs", std::move(outputs));
  }
  CountHttp(outcome, report, metrics);
  return HttpRecord(task, outcome, report);
}

}  // namespace bulkhead::agent

#include "runner/agent/records.h"

#include <utility>

#include "runner/base/text.h"

namespace bulkhead::agent {

namespace {

Value Text(std::string_view text) {
  return Value::String(std::string(text));
}

Value Count(size_t count) {
  return Value::Number(static_cast<int64_t>(count));
}

int64_t Millis(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

// The fields that say which task it is.
Value TaskFields(const Task& task) {
  Value fields = Value::Object();
  fields.members.reserve(24);
  fields.Set("workflow", Text(task.workflow.name));
  fields.Set("namespace", Text(task.workflow.name_space));
  fields.Set("uid", Text(task.workflow.uid));
  fields.Set("node", Text(task.node));
  fields.Set("template", Text(task.template_name));
  return fields;
}

Value VerdictValue(const policy::Verdict& verdict) {
  Value value = Value::Object();
  if (verdict.whole) {
    value.Set("whole", Value::Bool(true));
  } else {
    value.Set("op", Text(policy::OpName(verdict.op)));
  }
  value.Set("path", Text(verdict.path));
  value.Set("allowed", Value::Bool(verdict.allowed));
  if (!verdict.by.policy.empty()) value.Set("policy", Text(verdict.by.policy));
  value.Set("rule", Text(verdict.by.rule));
  if (!verdict.by.place.empty()) value.Set("place", Text(verdict.by.place));
  if (verdict.advice) value.Set("advice", Value::Bool(true));
  if (!verdict.reason.empty()) value.Set("reason", Text(verdict.reason));
  if (!verdict.value.empty()) value.Set("value", Text(verdict.value));
  return value;
}

}  // namespace

audit::Record CallRecord(const Task& task, const Callee& callee, const HostCall& call, const Judgement& judgement,
                         const TaskReport& report, bool decided) {
  const rpc::CallResult& result = call.result;
  Value fields = TaskFields(task);
  fields.Set("plugin", Text(callee.plugin));
  fields.Set("tier", Text(callee.tier));
  fields.Set("method", Text(callee.method));
  if (!callee.caller.empty()) fields.Set("caller", Text(callee.caller));
  fields.Set("attempts", Value::Number(result.attempts));
  fields.Set("outcome", Text(rpc::OutcomeName(result.outcome)));
  if (result.http_status != 0) fields.Set("httpStatus", Value::Number(result.http_status));
  fields.Set("ms", Value::Number(Millis(result.elapsed)));
  fields.Set("requestSha256", Text(Sha256Hex(task.request)));
  if (result.outcome == rpc::Outcome::kReply) {
    fields.Set("replyBytes", Count(result.body.size()));
    fields.Set("replySha256", Text(Sha256Hex(result.body)));
  }
  if (result.early_bytes) fields.Set("earlyBytes", Value::Bool(true));
  if (!judgement.verdicts.empty()) {
    Value verdicts = Value::Array();
    verdicts.items.reserve(judgement.verdicts.size());
    for (const policy::Verdict& verdict : judgement.verdicts) verdicts.items.push_back(VerdictValue(verdict));
    fields.Set("verdicts", std::move(verdicts));
  }
  if (report.masked > 0) fields.Set("masked", Count(report.masked));
  fields.Set("applied", Value::Bool(decided && judgement.kind == Judgement::Kind::kApplied));
  if (decided) {
    if (!report.phase.empty()) fields.Set("phase", Text(report.phase));
    if (report.stopped_by != Layer::kNone) {
      fields.Set("stoppedBy", Text(LayerName(report.stopped_by)));
      fields.Set("reason", Text(report.message));
    }
  }
  return {audit::Event::kCall, std::move(fields)};
}

audit::Record HttpRecord(const Task& task, const http::HttpOutcome& outcome, const TaskReport& report) {
  Value fields = TaskFields(task);
  Value requests = Value::Array();
  for (const http::HttpHop& hop : outcome.hops) {
    Value request = Value::Object();
    request.Set("method", Text(hop.method));
    request.Set("url", Text(hop.url));
    if (!hop.rules.empty()) request.Set("rules", Text(hop.rules));
    if (!hop.address.empty()) request.Set("address", Text(hop.address));
    if (hop.status != 0) request.Set("status", Value::Number(hop.status));
    requests.items.push_back(std::move(request));
  }
  fields.Set("requests", std::move(requests));
  fields.Set("ms", Value::Number(Millis(outcome.elapsed)));
  if (!outcome.response_sha256.empty()) {
    fields.Set("responseBytes", Count(outcome.response_bytes));
    fields.Set("responseSha256", Text(outcome.response_sha256));
  }
  if (outcome.masked > 0) fields.Set("masked", Count(outcome.masked));
  fields.Set("applied", Value::Bool(outcome.result.has_value()));
  fields.Set("phase", Text(report.phase));
  if (report.stopped_by != Layer::kNone) {
    fields.Set("stoppedBy", Text(LayerName(report.stopped_by)));
    fields.Set("reason", Text(report.message));
  }
  return {audit::Event::kHttp, std::move(fields)};
}

audit::Record RefusalRecord(const Task& task, const TaskReport& report) {
  Value fields = TaskFields(task);
  fields.Set("phase", Text(report.phase));
  fields.Set("stoppedBy", Text(LayerName(report.stopped_by)));
  fields.Set("reason", Text(report.message));
  return {audit::Event::kRefusal, std::move(fields)};
}

audit::Record RecoveredRecord(const Task& task, const TaskReport& report) {
  Value fields = TaskFields(task);
  fields.Set("phase", Text(report.phase));
  if (report.stopped_by != Layer::kNone) {
    fields.Set("stoppedBy", Text(LayerName(report.stopped_by)));
    fields.Set("reason", Text(report.message));
  }
  return {audit::Event::kTaskRecovered, std::move(fields)};
}

void CountCall(std::string_view plugin, const rpc::CallResult& result, const Judgement& judgement,
               const TaskReport& report, Metrics& metrics) {
  const std::string label = MetricLabel("plugin", plugin);
  metrics.Add("bulkhead_calls_total", label + "," + MetricLabel("outcome", rpc::OutcomeName(result.outcome)));
  if (result.attempts > 1) metrics.Add("bulkhead_retries_total", label, static_cast<uint64_t>(result.attempts - 1));
  if (judgement.allowed > 0) metrics.Add("bulkhead_mutations_allowed_total", label, judgement.allowed);
  if (judgement.refused > 0) metrics.Add("bulkhead_mutations_refused_total", label, judgement.refused);
  if (judgement.masked > 0) metrics.Add("bulkhead_secrets_masked_total", label, judgement.masked);
  if (report.stopped_by != Layer::kNone) {
    metrics.Add("bulkhead_tasks_stopped_total", label + "," + MetricLabel("layer", LayerName(report.stopped_by)));
  }
}

void CountHttp(const http::HttpOutcome& outcome, const TaskReport& report, Metrics& metrics) {
  metrics.Add("bulkhead_http_templates_total", MetricLabel("phase", report.phase));
  for (const http::HttpHop& hop : outcome.hops)
    metrics.Add("bulkhead_http_requests_total", MetricLabel("sent", hop.rules.empty() ? "refused" : "yes"));
  if (outcome.masked > 0) metrics.Add("bulkhead_secrets_masked_total", MetricLabel("plugin", "(http)"), outcome.masked);
  if (report.stopped_by != Layer::kNone) {
    metrics.Add("bulkhead_tasks_stopped_total",
                MetricLabel("plugin", "(http)") + "," + MetricLabel("layer", LayerName(report.stopped_by)));
  }
}

}  // namespace bulkhead::agent

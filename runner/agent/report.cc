#include "runner/agent/report.h"

#include <utility>

namespace bulkhead::agent {

void EndWith(std::string_view phase, Layer layer, std::string message, TaskReport& report) {
  report.phase = phase;
  report.message = std::move(message);
  report.stopped_by = layer;
  report.final = true;
  report.requeue.reset();
  report.result = Value::Object();
  report.result.Set("phase", Value::String(report.phase));
  report.result.Set("message", Value::String(report.message));
}

void EndWithEffective(const Value& effective, std::optional<std::chrono::nanoseconds> requeue, TaskReport& report) {
  report.result = effective;
  if (const Value* phase = effective.Find("phase")) report.phase = phase->text;
  if (const Value* message = effective.Find("message")) report.message = message->text;
  // A fulfilled phase is the end whatever the reply says of requeue.
  if (!IsFulfilled(report.phase) && requeue.has_value()) {
    report.final = false;
    report.requeue = requeue;
  }
}

}  // namespace bulkhead::agent

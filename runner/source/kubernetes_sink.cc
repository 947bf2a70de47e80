#include "runner/source/kubernetes_sink.h"

#include <algorithm>
#include <array>

#include "runner/base/text.h"
#include "runner/base/value.h"

namespace bulkhead::source {

namespace {

using SteadyClock = std::chrono::steady_clock;

// Of a patch besides its nodes.
constexpr size_t kEnvelope = 64;
// How often a small result may find no room in its object before it is taken to be at fault: the object is full of
// results that the controller has not taken out yet.
constexpr int kMostFullAttempts = 8;
constexpr size_t kSurelyTooLarge = 512U << 10U;
constexpr auto kFullPause = std::chrono::seconds(2);

void AppendMember(const Value& object, std::string_view key, std::string& out) {
  AppendJsonString(key, out);
  out += ':';
  const Value* const value = object.Find(key);
  if (value == nullptr) {
    out += "null";
  } else {
    AppendJson(*value, out);
  }
}

// A merge patch keeps what it does not name, so every field of a NodeResult is named: one that this result has not is
// removed, and no older one shows through. Lists are replaced as a whole.
std::string NodePatch(const Value& result) {
  static constexpr auto kFields = std::to_array<std::string_view>({"phase", "message", "progress"});
  static constexpr auto kOutputs = std::to_array<std::string_view>({"parameters", "artifacts", "result", "exitCode"});
  std::string out = "{";
  for (const std::string_view field : kFields) {
    AppendMember(result, field, out);
    out += ',';
  }
  out += "\"outputs\":";
  const Value* const outputs = result.Find("outputs");
  if (outputs == nullptr || !outputs->is_object()) return out + "null}";
  out += '{';
  for (size_t i = 0; i < kOutputs.size(); ++i) {
    if (i > 0) out += ',';
    AppendMember(*outputs, kOutputs[i], out);
  }
  return out + "}}";
}

}  // namespace

KubernetesSink::KubernetesSink(kube::Client& client, const Logger& log, Metrics& metrics, agent::Journal* journal,
                               SinkOptions options, std::function<void(const RefusedResult&)> on_refused,
                               std::function<void(const Error&)> on_failure)
    : client_(client),
      log_(log),
      metrics_(metrics),
      journal_(journal),
      options_(options),
      on_refused_(std::move(on_refused)),
      on_failure_(std::move(on_failure)),
      backoff_(options.first_pause, options.most_pause),
      thread_([this] { Run(); }) {}

KubernetesSink::~KubernetesSink() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.notify_all();
  }
  client_.Stop();
  thread_.join();
}

void KubernetesSink::Deliver(const agent::TaskReport& report) {
  Entry entry;
  entry.node = report.node;
  entry.key = {report.key, report.generation};
  entry.final = report.final;
  entry.uncertain = report.recovered;
  const SetName set = {report.name_space, report.workflow};
  // A node without a phase posts nothing; it had its answer all the same.
  if (report.phase.empty()) {
    if (journal_ != nullptr && report.final && !report.key.empty())
      static_cast<void>(journal_->Delivered(std::array{entry.key}).ok());
    return;
  }
  entry.patch = NodePatch(report.result);
  const std::lock_guard lock(mutex_);
  if (failed_) return;
  auto [nodes, added] = pending_.try_emplace(set);
  if (added) turn_.push_back(set);
  nodes->second.insert_or_assign(report.node, std::move(entry));
  work_.notify_one();
}

void KubernetesSink::Drop(const agent::WorkflowRef& workflow, const std::vector<std::string>& nodes) {
  const std::lock_guard lock(mutex_);
  const auto set = pending_.find({workflow.name_space, workflow.name});
  if (set == pending_.end()) return;
  for (const std::string& node : nodes) set->second.erase(node);
  work_.notify_one();
}

bool KubernetesSink::Flush(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  return flushed_.wait_until(lock, deadline, [&] { return failed_ || (pending_.empty() && sending_ == 0); }) &&
         !failed_;
}

size_t KubernetesSink::pending() const {
  const std::lock_guard lock(mutex_);
  size_t count = sending_;
  for (const auto& [set, nodes] : pending_) count += nodes.size();
  return count;
}

// --- the loop -------------------------------------------------------------------------------------

void KubernetesSink::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopping_ || failed_) return;
    SteadyTime wake = SteadyTime::max();
    auto taken = TakeLocked(wake);
    if (!taken.has_value()) {
      if (pending_.empty() && sending_ == 0) flushed_.notify_all();
      if (wake == SteadyTime::max()) {
        work_.wait(lock);
      } else {
        work_.wait_until(lock, wake);
      }
      continue;
    }
    sending_ += taken->second.size();
    lock.unlock();
    Send(taken->first, std::move(taken->second));
    lock.lock();
    if (pending_.empty() && sending_ == 0) flushed_.notify_all();
  }
}

std::optional<std::pair<KubernetesSink::SetName, KubernetesSink::Batch>> KubernetesSink::TakeLocked(SteadyTime& wake) {
  if (turn_.empty()) return std::nullopt;
  const SteadyTime now = SteadyClock::now();
  wake = std::max(resume_at_, last_patch_ + options_.least_between);
  if (wake > now) return std::nullopt;
  wake = SteadyTime::max();
  for (size_t tried = turn_.size(); tried > 0; --tried) {
    const SetName set = turn_.front();
    turn_.pop_front();
    auto& nodes = pending_[set];
    Batch batch;
    size_t bytes = kEnvelope;
    for (auto entry = nodes.begin(); entry != nodes.end();) {
      if (entry->second.not_before > now) {
        wake = std::min(wake, entry->second.not_before);
        ++entry;
        continue;
      }
      const size_t more = entry->second.patch.size() + entry->first.size() + 8;
      if (!batch.empty() && bytes + more > options_.patch_bytes) break;
      bytes += more;
      batch.push_back(std::move(entry->second));
      entry = nodes.erase(entry);
    }
    if (nodes.empty()) {
      pending_.erase(set);
    } else {
      turn_.push_back(set);
    }
    if (!batch.empty()) return std::make_pair(set, std::move(batch));
  }
  return std::nullopt;
}

// Waits until the rate allows another patch. False when the sink ends.
bool KubernetesSink::Pace() {
  std::unique_lock lock(mutex_);
  work_.wait_until(lock, last_patch_ + options_.least_between, [&] { return stopping_; });
  last_patch_ = SteadyClock::now();
  return !stopping_;
}

void KubernetesSink::Send(const SetName& set, Batch batch) {
  // What leaves is durable here first: a result that the workflow has seen is never computed again.
  if (journal_ != nullptr) {
    if (const Status synced = journal_->Sync(); !synced.ok()) return Fail(synced.error());
  }
  if (!Pace()) return PutBack(set, std::move(batch), {});
  std::string version;
  if (std::any_of(batch.begin(), batch.end(), [](const Entry& entry) { return entry.uncertain; })) {
    const kube::Answer looked = Guard(set, batch, version);
    if (looked.failure == kube::Failure::kStopped) return PutBack(set, std::move(batch), {});
    if (!looked.ok() && looked.failure != kube::Failure::kNotFound) return Failed(set, std::move(batch), looked);
    if (!looked.ok()) return Done(set, batch, /*gone=*/true);
    if (batch.empty()) return;
  }
  std::string body = "{";
  if (!version.empty()) {
    body += "\"metadata\":{\"resourceVersion\":";
    AppendJsonString(version, body);
    body += "},";
  }
  body += "\"status\":{\"nodes\":{";
  for (size_t i = 0; i < batch.size(); ++i) {
    if (i > 0) body += ',';
    AppendJsonString(batch[i].node, body);
    body += ':';
    body += batch[i].patch;
  }
  body += "}}}";
  const kube::Answer answer =
      client_.Call({"patch",
                    {"argoproj.io", "v1alpha1", "workflowtasksets", set.first, set.second, "status"},
                    "",
                    "application/merge-patch+json",
                    std::move(body)});
  metrics_.Add("bulkhead_patches_total", MetricLabel("ok", answer.ok() ? "true" : "false"));
  switch (answer.failure) {
    case kube::Failure::kNone: backoff_.Reset(); return Done(set, batch, /*gone=*/false);
    case kube::Failure::kNotFound:
      log_.Log(LogLevel::kInfo, "results of a task set that is gone are dropped",
               {{"workflow", set.second}, {"results", std::to_string(batch.size())}});
      return Done(set, batch, /*gone=*/true);
    case kube::Failure::kTooLarge:
      if (batch.size() > 1) return Halve(set, std::move(batch));
      if (batch.front().patch.size() < kSurelyTooLarge && ++batch.front().attempts < kMostFullAttempts)
        return PutBack(set, std::move(batch), kFullPause);
      return Refuse(set, std::move(batch.front()), answer.message);
    case kube::Failure::kRejected:
      if (batch.size() > 1) return Halve(set, std::move(batch));
      return Refuse(set, std::move(batch.front()), answer.message);
    case kube::Failure::kStopped: return PutBack(set, std::move(batch), {});
    case kube::Failure::kConflict:
      // The object has changed since it was looked at: look again, at once.
      if (!version.empty()) return PutBack(set, std::move(batch), {});
      break;
    default: break;
  }
  Failed(set, std::move(batch), answer);
}

kube::Answer KubernetesSink::Guard(const SetName& set, Batch& batch, std::string& version) {
  // Not a get: Argo's role for agents has list and watch only.
  kube::Answer answer = client_.Call({"list",
                                      {"argoproj.io", "v1alpha1", "workflowtasksets", set.first, "", ""},
                                      "fieldSelector=" + kube::PercentEncode("metadata.name=" + set.second),
                                      "",
                                      ""});
  if (!answer.ok()) return answer;
  auto list = kube::ParseObject(answer.body);
  if (!list.ok()) {
    answer.failure = kube::Failure::kTransport;
    answer.message = "the list cannot be read: " + list.error().message();
    return answer;
  }
  const Value* const items = list->Find("items");
  if (items == nullptr || items->items.empty()) {
    answer.failure = kube::Failure::kNotFound;
    return answer;
  }
  const Value& object = items->items.front();
  const Value* const spec = object.Find("spec");
  const Value* const tasks = spec == nullptr ? nullptr : spec->Find("tasks");
  const Value* const status = object.Find("status");
  const Value* const nodes = status == nullptr ? nullptr : status->Find("nodes");
  const Value* const metadata = object.Find("metadata");
  if (const Value* at = metadata == nullptr ? nullptr : metadata->Find("resourceVersion")) version = at->text;
  const auto waits = [&](const Entry& entry) {
    if (tasks == nullptr || tasks->Find(entry.node) == nullptr) return false;
    const Value* const result = nodes == nullptr ? nullptr : nodes->Find(entry.node);
    const Value* const phase = result == nullptr ? nullptr : result->Find("phase");
    return phase == nullptr || !agent::IsFulfilled(phase->text);
  };
  const auto done = std::stable_partition(batch.begin(), batch.end(), waits);
  const Batch delivered(std::make_move_iterator(done), std::make_move_iterator(batch.end()));
  batch.erase(done, batch.end());
  if (!delivered.empty()) Done(set, delivered, /*gone=*/false);
  return answer;
}

// Nothing can be sent for now.
void KubernetesSink::Failed(const SetName& set, Batch batch, const kube::Answer& answer) {
  const auto pause = backoff_.Next(answer.retry_after);
  log_.Log(LogLevel::kWarn, "results cannot be delivered for now",
           {{"workflow", set.second}, {"results", std::to_string(batch.size())}, {"reason", answer.message}});
  {
    const std::lock_guard lock(mutex_);
    resume_at_ = SteadyClock::now() + pause;
  }
  PutBack(set, std::move(batch), {});
}

void KubernetesSink::Halve(const SetName& set, Batch batch) {
  const auto middle = batch.begin() + static_cast<std::ptrdiff_t>(batch.size() / 2);
  Batch second(std::make_move_iterator(middle), std::make_move_iterator(batch.end()));
  batch.erase(middle, batch.end());
  Send(set, std::move(batch));
  Send(set, std::move(second));
}

// The node gets an Error instead. When that is refused as well, it is tried again for as long as the agent lives:
// a node without a result would hold its workflow for ever.
void KubernetesSink::Refuse(const SetName& set, Entry entry, const std::string& reason) {
  log_.Log(LogLevel::kError, "the API server refused a result",
           {{"workflow", set.second}, {"node", entry.node}, {"reason", reason}});
  if (entry.refused) return PutBack(set, {std::move(entry)}, options_.most_pause);
  metrics_.Add("bulkhead_results_refused_total");
  Value result = Value::Object();
  result.Set("phase", Value::String("Error"));
  result.Set("message", Value::String("the result was refused and is not applied: " + reason));
  entry.patch = NodePatch(result);
  entry.refused = true;
  entry.final = true;
  if (journal_ != nullptr && !entry.key.key.empty()) {
    if (const Status kept = journal_->Final(entry.key, result); !kept.ok()) return Fail(kept.error());
  }
  if (on_refused_) on_refused_({set.first, set.second, entry.node, reason});
  PutBack(set, {std::move(entry)}, {});
}

void KubernetesSink::PutBack(const SetName& set, Batch batch, std::chrono::nanoseconds pause) {
  const std::lock_guard lock(mutex_);
  sending_ -= batch.size();
  auto [nodes, added] = pending_.try_emplace(set);
  if (added) turn_.push_back(set);
  for (Entry& entry : batch) {
    entry.uncertain = true;
    if (pause.count() > 0) entry.not_before = SteadyClock::now() + pause;
    const std::string node = entry.node;
    nodes->second.try_emplace(node, std::move(entry));  // a newer result stays
  }
}

void KubernetesSink::Done(const SetName& set, const Batch& batch, bool gone) {
  std::vector<agent::TaskKey> keys;
  for (const Entry& entry : batch) {
    if (entry.final && !entry.key.key.empty()) keys.push_back(entry.key);
  }
  if (journal_ != nullptr) {
    const Status kept = gone ? journal_->Forget(keys) : journal_->Delivered(keys);
    if (!kept.ok()) return Fail(kept.error());
  }
  if (!gone) metrics_.Add("bulkhead_results_delivered_total", {}, batch.size());
  log_.Log(LogLevel::kDebug, "results delivered",
           {{"workflow", set.second}, {"results", std::to_string(batch.size())}});
  const std::lock_guard lock(mutex_);
  sending_ -= batch.size();
}

void KubernetesSink::Fail(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    flushed_.notify_all();
  }
  if (on_failure_) on_failure_(error);
}

}  // namespace bulkhead::source

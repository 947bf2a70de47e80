#include "runner/source/kubernetes.h"

#include <algorithm>
#include <random>
#include <utility>

#include "runner/base/fields.h"
#include "runner/base/text.h"
#include "runner/source/workflow.h"

namespace bulkhead::source {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::string_view kCompleted = "workflows.argoproj.io/completed";
constexpr std::string_view kInstance = "workflows.argoproj.io/controller-instanceid";
constexpr int kPage = 50;  // objects of up to 1.5 MiB each
constexpr auto kFirstPause = std::chrono::milliseconds(200);
constexpr auto kMostPause = std::chrono::seconds(15);
// The server ends each watch after about this long, so that a dead one is noticed.
constexpr int kLeastWatchSeconds = 240;
constexpr int kMostWatchSeconds = 300;
constexpr auto kWatchGrace = std::chrono::seconds(15);

std::string TextOf(const Value* object, std::string_view key) {
  const Value* const value = object == nullptr ? nullptr : object->Find(key);
  return value != nullptr && value->is_string() ? value->text : "";
}

const Value* Path(const Value& object, std::initializer_list<std::string_view> keys) {
  const Value* at = &object;
  for (const std::string_view key : keys) {
    at = at->Find(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

const std::vector<Member>& MembersOf(const Value* object) {
  static const std::vector<Member> kNone;
  return object == nullptr ? kNone : object->members;
}

bool IsCompleted(const Value& object) {
  const Value* const labels = Path(object, {"metadata", "labels"});
  return TextOf(labels, kCompleted) == "true";
}

kube::Answer Failed(kube::Failure failure, std::string message) {
  kube::Answer answer;
  answer.failure = failure;
  answer.message = std::move(message);
  return answer;
}

int WatchSeconds() {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_int_distribution<int>(kLeastWatchSeconds, kMostWatchSeconds)(random);
}

}  // namespace

KubernetesSource::KubernetesSource(kube::Client& client, const Logger& log, Metrics& metrics, agent::Journal* journal,
                                   KubernetesOptions options, OnGoneTasks on_gone_tasks,
                                   std::function<void(End)> on_end)
    : client_(client),
      log_(log),
      metrics_(metrics),
      journal_(journal),
      options_(std::move(options)),
      on_gone_tasks_(std::move(on_gone_tasks)),
      on_end_(std::move(on_end)) {}

KubernetesSource::~KubernetesSource() {
  Stop();
}

void KubernetesSource::Start(agent::TaskQueue& queue) {
  queue_ = &queue;
  thread_ = std::thread([this] { Run(); });
}

void KubernetesSource::Stop() {
  client_.Stop();
  if (thread_.joinable()) thread_.join();
}

std::string KubernetesSource::Selector() const {
  if (!options_.workflow.empty()) return "fieldSelector=" + kube::PercentEncode("metadata.name=" + options_.workflow);
  const std::string instance =
      options_.instance_id.empty() ? "!" + std::string(kInstance) : std::string(kInstance) + "=" + options_.instance_id;
  return "labelSelector=" + kube::PercentEncode(instance + "," + std::string(kCompleted) + "!=true");
}

// --- the loop -------------------------------------------------------------------------------------

void KubernetesSource::Run() {
  kube::Backoff backoff(kFirstPause, kMostPause);
  while (!ended_ && !client_.stopped()) {
    std::string version;
    const kube::Answer listed = List(version);
    if (!listed.ok()) {
      if (!Sleep(backoff, listed, "list")) return;
      continue;
    }
    for (bool relist = false; !relist && !ended_;) {
      saw_event_ = false;
      const kube::Answer answer = Watch(version);
      if (saw_event_) backoff.Reset();
      if (answer.failure == kube::Failure::kStopped) return;
      // The version is too old; or what the watch needs is refused, and the list tells it better.
      relist = answer.failure == kube::Failure::kGone || answer.failure == kube::Failure::kForbidden ||
               answer.failure == kube::Failure::kUnauthorized || answer.failure == kube::Failure::kRejected ||
               answer.failure == kube::Failure::kNotFound;
      if (answer.ok() && saw_event_) continue;  // its time was over
      if (!ended_ && !Sleep(backoff, answer, "watch")) return;
    }
  }
}

bool KubernetesSource::Sleep(kube::Backoff& backoff, const kube::Answer& answer, std::string_view what) {
  if (answer.failure == kube::Failure::kStopped) return false;
  if (!answer.ok()) {
    metrics_.Add("bulkhead_api_failures_total", MetricLabel("request", what));
    log_.Log(LogLevel::kWarn, "task sets cannot be had for now",
             {{"request", std::string(what)}, {"reason", answer.message}});
  }
  return client_.Sleep(backoff.Next(answer.retry_after));
}

kube::Answer KubernetesSource::List(std::string& version) {
  std::set<std::string> present;
  std::string next;
  do {
    std::string query = Selector() + "&limit=" + std::to_string(kPage);
    if (!next.empty()) query += "&continue=" + kube::PercentEncode(next);
    kube::Answer answer = client_.Call(
        {"list", {"argoproj.io", "v1alpha1", "workflowtasksets", options_.name_space, "", ""}, query, "", ""});
    if (!answer.ok()) return answer;
    auto list = kube::ParseObject(answer.body);
    if (!list.ok()) return Failed(kube::Failure::kTransport, "the list cannot be read: " + list.error().message());
    const Value* const metadata = list->Find("metadata");
    version = TextOf(metadata, "resourceVersion");
    next = TextOf(metadata, "continue");
    const Value* const items = list->Find("items");
    if (items == nullptr) continue;
    for (const Value& object : items->items) {
      present.insert(TextOf(object.Find("metadata"), "uid"));
      OnSet(object);
    }
  } while (!next.empty() && !ended_);
  std::vector<std::string> gone;
  for (const auto& [uid, set] : sets_) {
    if (present.find(uid) == present.end()) gone.push_back(uid);
  }
  for (const std::string& uid : gone) OnGone(uid, End::kDeleted);
  log_.Log(LogLevel::kDebug, "task sets listed", {{"count", std::to_string(sets_.size())}, {"version", version}});
  metrics_.Add("bulkhead_task_set_lists_total");
  if (options_.on_listed) options_.on_listed();
  kube::Answer done;
  done.failure = kube::Failure::kNone;
  return done;
}

kube::Answer KubernetesSource::Watch(std::string& version) {
  const int seconds = WatchSeconds();
  const std::string query = Selector() +
                            "&watch=true&allowWatchBookmarks=true&resourceVersion=" + kube::PercentEncode(version) +
                            "&timeoutSeconds=" + std::to_string(seconds);
  kube::Answer failure;
  bool failed = false;
  const kube::Answer answer = client_.Watch(
      {"watch", {"argoproj.io", "v1alpha1", "workflowtasksets", options_.name_space, "", ""}, query, "", ""},
      SteadyClock::now() + std::chrono::seconds(seconds) + kWatchGrace, [&](std::string_view line) {
        failed = !OnLine(line, version, failure);
        return !failed && !ended_;
      });
  return failed ? failure : answer;
}

// False when the watch is of no use any more, for the reason in `failure`.
bool KubernetesSource::OnLine(std::string_view line, std::string& version, kube::Answer& failure) {
  auto event = kube::ParseObject(line);
  if (!event.ok()) {
    failure = Failed(kube::Failure::kTransport, "an event cannot be read: " + event.error().message());
    return false;
  }
  const std::string type = TextOf(&*event, "type");
  const Value* const object = event->Find("object");
  if (object == nullptr) {
    failure = Failed(kube::Failure::kTransport, "an event without an object");
    return false;
  }
  if (type == "ERROR") {
    const Value* const code = object->Find("code");
    const bool gone = code != nullptr && code->text == "410";
    failure = Failed(gone ? kube::Failure::kGone : kube::Failure::kServer,
                     "the watch was ended: " + EscapeForTerminal(TextOf(object, "message")));
    return false;
  }
  saw_event_ = true;
  if (type == "ADDED" || type == "MODIFIED") OnSet(*object);
  if (type == "DELETED") OnGone(TextOf(object->Find("metadata"), "uid"), End::kDeleted);
  // After the event was taken in: a watch from this version begins behind it.
  const std::string at = TextOf(object->Find("metadata"), "resourceVersion");
  if (!at.empty()) version = at;
  return true;
}

// --- task sets ------------------------------------------------------------------------------------

void KubernetesSource::OnSet(const Value& object) {
  const Value* const metadata = object.Find("metadata");
  const std::string uid = TextOf(metadata, "uid");
  if (metadata == nullptr || uid.empty()) return;
  agent::WorkflowRef workflow = {TextOf(metadata, "name"), TextOf(metadata, "namespace"), OwnerUidOf(*metadata)};
  if (workflow.uid.empty()) workflow.uid = options_.workflow_uid.empty() ? uid : options_.workflow_uid;
  if (!options_.workflow_uid.empty() && workflow.uid != options_.workflow_uid) {
    log_.Log(LogLevel::kWarn, "a task set of another workflow of the same name is left alone",
             {{"workflow", workflow.name}, {"uid", workflow.uid}});
    return;
  }
  if (IsCompleted(object)) {
    sets_[uid];  // so that its end is told also when it was never seen before
    return OnGone(uid, End::kCompleted);
  }
  // One task set a name: another uid means that the one before is gone.
  for (auto at = sets_.begin(); at != sets_.end();) {
    const std::string other = at->first;
    const bool replaced = at->second.name == workflow.name && other != uid;
    ++at;
    if (replaced) OnGone(other, End::kDeleted);
  }
  if (ended_) return;
  Set& set = sets_[uid];
  set.name = workflow.name;
  set.workflow_uid = workflow.uid;
  OnTasks(set, object, workflow);
}

void KubernetesSource::OnTasks(Set& set, const Value& object, const agent::WorkflowRef& workflow) {
  const Value* const tasks = Path(object, {"spec", "tasks"});
  const Value* const results = Path(object, {"status", "nodes"});
  std::map<std::string_view, std::string_view> phases;
  for (const Member& member : MembersOf(results)) {
    const Value* const phase = member.value.Find("phase");
    if (phase != nullptr) phases.emplace(member.key, phase->text);
  }
  std::set<std::string_view> present;
  for (const Member& member : MembersOf(tasks)) present.insert(member.key);

  std::vector<std::string> gone;
  std::vector<agent::TaskKey> gone_keys;
  for (auto known = set.nodes.begin(); known != set.nodes.end();) {
    if (present.find(known->first) != present.end()) {
      ++known;
      continue;
    }
    if (known->second.task_id != 0) queue_->Cancel(known->second.task_id);
    gone.push_back(known->first);
    gone_keys.push_back({workflow.uid + "/" + known->first, known->second.generation});
    set.generations[known->first] = known->second.generation + 1;
    known = set.nodes.erase(known);
  }
  if (!gone.empty()) on_gone_tasks_(workflow, gone);
  // A journal that cannot be written tells the agent when it is needed next.
  if (journal_ != nullptr) static_cast<void>(journal_->Retire(gone_keys).ok());

  for (const Member& member : MembersOf(tasks)) {
    if (set.nodes.find(member.key) != set.nodes.end()) continue;
    Known& known = set.nodes[member.key];
    known.generation = GenerationOf(set, member.key);
    const auto phase = phases.find(member.key);
    if (phase != phases.end() && agent::IsFulfilled(phase->second)) continue;  // delivered before this start
    Diagnostics diagnostics(workflow.name);
    agent::Task task = ReadTask(workflow, member.key, member.value, diagnostics);
    if (const Status readable = diagnostics.ToStatus(); !readable.ok()) {
      task.defect = "agent cannot execute: " + readable.error().message();
    }
    task.id = known.task_id = next_id_++;
    task.key = workflow.uid + "/" + member.key;
    task.generation = known.generation;
    metrics_.Add("bulkhead_tasks_seen_total");
    queue_->Add(std::move(task));
  }
}

// Of the task that comes with this node now. The journal knows what was before this process.
int KubernetesSource::GenerationOf(const Set& set, const std::string& node) const {
  const auto before = set.generations.find(node);
  const int generation = before == set.generations.end() ? 0 : before->second;
  return journal_ == nullptr ? generation : std::max(generation, journal_->Generation(set.workflow_uid + "/" + node));
}

void KubernetesSource::OnGone(const std::string& uid, End end) {
  const auto found = sets_.find(uid);
  if (found == sets_.end()) return;
  const Set& set = found->second;
  if (options_.workflow.empty()) {  // otherwise its agent ends
    for (const auto& [node, known] : set.nodes) {
      if (known.task_id != 0) queue_->Cancel(known.task_id);
    }
    if (journal_ != nullptr && !set.workflow_uid.empty())
      static_cast<void>(journal_->ForgetAll(set.workflow_uid + "/").ok());
  }
  log_.Log(LogLevel::kInfo, end == End::kCompleted ? "the workflow is completed" : "the task set is gone",
           {{"workflow", set.name}});
  sets_.erase(found);
  if (options_.workflow.empty() || std::exchange(ended_, true)) return;
  on_end_(end);
}

}  // namespace bulkhead::source

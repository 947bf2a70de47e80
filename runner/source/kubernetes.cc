#include "runner/source/kubernetes.h"

#include <random>
#include <utility>

#include "runner/kube/watch_event.h"

namespace bulkhead::source {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::string_view kNotCompleted = "workflows.argoproj.io/completed!=true";
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
                                   KubernetesOptions options, TaskSets::OnGoneTasks on_gone_tasks,
                                   std::function<void(TaskSets::End)> on_end)
    : client_(client),
      log_(log),
      metrics_(metrics),
      options_(std::move(options)),
      sets_(log, metrics, journal, {!options_.workflow.empty(), options_.workflow_uid}, std::move(on_gone_tasks),
            std::move(on_end)) {}

KubernetesSource::~KubernetesSource() {
  Stop();
}

void KubernetesSource::Start(agent::TaskQueue& queue) {
  sets_.GiveTo(queue);
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
  return "labelSelector=" + kube::PercentEncode(instance + "," + std::string(kNotCompleted));
}

// --- the loop -------------------------------------------------------------------------------------

void KubernetesSource::Run() {
  kube::Backoff backoff(kFirstPause, kMostPause);
  while (!sets_.ended() && !client_.stopped()) {
    std::string version;
    const kube::Answer listed = List(version);
    if (!listed.ok()) {
      if (!Sleep(backoff, listed, "list")) return;
      continue;
    }
    for (bool relist = false; !relist && !sets_.ended();) {
      saw_event_ = false;
      const kube::Answer answer = Watch(version);
      if (saw_event_) backoff.Reset();
      if (answer.failure == kube::Failure::kStopped) return;
      // The version is too old; or what the watch needs is refused, and the list tells it better.
      relist = answer.failure == kube::Failure::kGone || answer.failure == kube::Failure::kForbidden ||
               answer.failure == kube::Failure::kUnauthorized || answer.failure == kube::Failure::kRejected ||
               answer.failure == kube::Failure::kNotFound;
      if (answer.ok() && saw_event_) continue;  // its time was over
      if (!sets_.ended() && !Sleep(backoff, answer, "watch")) return;
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
      present.insert(UidOf(object));
      sets_.OnSet(object);
    }
  } while (!next.empty() && !sets_.ended());
  sets_.OnListed(present);
  log_.Log(LogLevel::kDebug, "task sets listed", {{"count", std::to_string(sets_.size())}, {"version", version}});
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
        return !failed && !sets_.ended();
      });
  return failed ? failure : answer;
}

// False when the watch is of no use any more, for the reason in `failure`.
bool KubernetesSource::OnLine(std::string_view line, std::string& version, kube::Answer& failure) {
  const auto event = kube::ReadWatchEvent(line);
  if (!event.ok()) {
    failure = Failed(kube::Failure::kTransport, event.error().message());
    return false;
  }
  switch (event->type) {
    case kube::WatchEvent::Type::kGone:
    case kube::WatchEvent::Type::kError:
      failure = Failed(event->type == kube::WatchEvent::Type::kGone ? kube::Failure::kGone : kube::Failure::kServer,
                       "the watch was ended: " + event->message);
      return false;
    case kube::WatchEvent::Type::kChanged: sets_.OnSet(event->object); break;
    case kube::WatchEvent::Type::kDeleted: sets_.OnDeleted(event->object); break;
    case kube::WatchEvent::Type::kMoved: break;
  }
  saw_event_ = true;
  // After the event was taken in: a watch from this version begins behind it.
  if (!event->version.empty()) version = event->version;
  return true;
}

}  // namespace bulkhead::source

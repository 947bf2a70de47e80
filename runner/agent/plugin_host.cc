#include "runner/agent/plugin_host.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "runner/agent/plugin_instance.h"
#include "runner/base/text.h"

namespace bulkhead::agent {

namespace {

// A plugin that ends before it listens is started this often; one that never listens only once, since
// each try costs the whole start timeout.
constexpr int kMostFailedStarts = 3;
// How long after a broken connection the end of the compartment may take to be seen.
constexpr auto kDeathNotice = std::chrono::milliseconds(500);
// What a plugin answers that declares nothing: Argo's executor plugins know no other method.
constexpr std::string_view kDefaultMethod = "template.execute";

}  // namespace

struct PluginHost::Attempted {
  HostCall call;
  bool died = false;       // the compartment ended during the call
  bool only_call = false;  // and no other call was in flight at any time of it
  sandbox::ExitReport report;
};

PluginHost::PluginHost(PluginConfig config, HostServices services, HostOptions options, std::optional<Error> refusal)
    : config_(std::move(config)), services_(std::move(services)), options_(options), broken_(std::move(refusal)) {
  SetHealth({false, broken_.has_value() ? broken_->message() : "not started yet"});
}

PluginHost::~PluginHost() {
  Stop();
}

Status PluginHost::Start() {
  auto instance = Running();
  if (!instance.ok()) return std::move(instance).error();
  return OkStatus();
}

std::optional<bool> PluginHost::Handles(const std::vector<std::string>& keys) const {
  if (config_.handles.empty()) return std::nullopt;
  return std::any_of(keys.begin(), keys.end(), [&](const std::string& key) {
    return std::find(config_.handles.begin(), config_.handles.end(), key) != config_.handles.end();
  });
}

bool PluginHost::Serves(std::string_view method) const {
  const bool declared = config_.methods.empty() ? method == kDefaultMethod
                                                : std::find(config_.methods.begin(), config_.methods.end(), method) !=
                                                      config_.methods.end();
  const std::lock_guard lock(facts_mutex_);
  return declared && unsupported_.find(method) == unsupported_.end();
}

HostHealth PluginHost::Health() const {
  const auto broken = config_.remote.has_value() ? config_.remote->context->Broken() : std::nullopt;
  const std::lock_guard lock(facts_mutex_);
  HostHealth health = health_;
  if (broken.has_value() && health.reason.empty())
    health.reason = "new certificates are not in force, those before stay: " + services_.redactor->Redact(*broken);
  return health;
}

void PluginHost::SetHealth(HostHealth health) {
  if (!health.ready) health.reason = services_.redactor->Redact(health.reason);
  const std::lock_guard lock(facts_mutex_);
  health_ = std::move(health);
}

HostCall PluginHost::Call(std::string_view method, std::string_view body, SteadyTime deadline,
                          std::string_view extra_headers, rpc::Retry retry) {
  Attempted first;
  {
    const std::shared_lock lane(lane_);
    first = CallOnce(method, body, deadline, extra_headers, retry, /*alone=*/false);
  }
  if (!first.died || stopping_ || retry == rpc::Retry::kNever) return std::move(first.call);
  const bool violation = first.report.cause == sandbox::ExitReport::Cause::kSeccomp ||
                         first.report.cause == sandbox::ExitReport::Cause::kMemory;
  if (first.only_call && violation) return std::move(first.call);

  // Others were in flight, or it may have been an accident: once more, with nobody beside it.
  services_.metrics->Add("bulkhead_calls_repeated_alone_total", MetricLabel("plugin", name()));
  const std::unique_lock lane(lane_);
  Attempted second = CallOnce(method, body, deadline, extra_headers, retry, /*alone=*/true);
  second.call.result.attempts += first.call.result.attempts;
  second.call.result.elapsed += first.call.result.elapsed;
  return std::move(second.call);
}

PluginHost::Attempted PluginHost::CallOnce(std::string_view method, std::string_view body, SteadyTime deadline,
                                           std::string_view extra_headers, rpc::Retry retry, bool alone) {
  Attempted attempted;
  auto running = Running();
  if (!running.ok()) {
    attempted.call.result.outcome = rpc::Outcome::kFatal;
    attempted.call.result.reason = running.error().message();
    attempted.call.sandbox_reason = running.error().message();
    return attempted;
  }
  const std::shared_ptr<Instance> instance = *running;
  uint64_t calls_at_start = 0;
  {
    const std::lock_guard lock(instance->mutex);
    attempted.only_call = instance->in_flight++ == 0;
    calls_at_start = ++instance->calls;
  }
  const auto sleeper = [&](std::chrono::nanoseconds time) { return !instance->WaitEnded(time); };
  attempted.call.result = instance->client->Call(method, body, deadline, sleeper, extra_headers, retry);
  {
    const std::lock_guard lock(instance->mutex);
    --instance->in_flight;
    attempted.only_call = alone || (attempted.only_call && instance->calls == calls_at_start);
  }
  const rpc::CallResult& result = attempted.call.result;
  if (result.outcome == rpc::Outcome::kNotSupported) {
    const std::lock_guard lock(facts_mutex_);
    unsupported_.emplace(method);
  }
  const bool broken_off = result.outcome == rpc::Outcome::kTransient || result.http_status == 0;
  if (result.outcome == rpc::Outcome::kReply || !broken_off || instance->process == nullptr ||
      !instance->WaitEnded(kDeathNotice))
    return attempted;

  const std::lock_guard lock(instance->mutex);
  if (!instance->report.has_value()) return attempted;  // we are stopping
  attempted.died = true;
  attempted.report = *instance->report;
  attempted.call.result.outcome = rpc::Outcome::kFatal;
  attempted.call.sandbox_reason = "plugin ended during the call: " + attempted.report.ToString();
  return attempted;
}

Result<std::shared_ptr<PluginHost::Instance>> PluginHost::Running() {
  const std::lock_guard lock(mutex_);
  auto running = RunningLocked();
  if (!running.ok()) SetHealth({false, running.error().message()});
  return running;
}

Result<std::shared_ptr<PluginHost::Instance>> PluginHost::RunningLocked() {
  if (stopping_) return Error(Code::kCancelled, "the agent is stopping");
  if (broken_until_.has_value() && std::chrono::steady_clock::now() >= *broken_until_) {
    broken_.reset();
    broken_until_.reset();
    failed_starts_ = 0;
  }
  if (broken_.has_value()) return *broken_;
  if (config_.sidecar.has_value() && config_.sidecar->admit) BULKHEAD_TRY(config_.sidecar->admit());
  if (instance_ != nullptr) {
    const std::lock_guard instance_lock(instance_->mutex);
    if (!instance_->report.has_value()) return instance_;
  }
  for (;;) {
    if (instance_ != nullptr) services_.metrics->Add("bulkhead_plugin_restarts_total", MetricLabel("plugin", name()));
    auto launched = LaunchLocked();
    if (launched.ok()) {
      failed_starts_ = 0;
      instance_ = *launched;
      SetHealth({true, ""});
      return launched;
    }
    ++failed_starts_;
    const bool may_help = launched.error().code() == Code::kUnavailable && failed_starts_ < kMostFailedStarts;
    if (!may_help || stopping_) {
      broken_ = launched.error();
      if (options_.try_again_after.has_value())
        broken_until_ = std::chrono::steady_clock::now() + *options_.try_again_after;
      return launched;
    }
  }
}

void PluginHost::RecordStart(Value attestation) {
  Value fields = Value::Object();
  fields.Set("plugin", Value::String(name()));
  fields.Set("tier", Value::String(std::string(tier())));
  if (!attestation.is_null()) fields.Set("attestation", std::move(attestation));
  Value notices = Value::Array();
  for (const std::string& notice : config_.notices)
    notices.items.push_back(Value::String(services_.redactor->Redact(notice)));
  fields.Set("notices", std::move(notices));
  Record(audit::Event::kPluginStart, std::move(fields));
}

Result<std::shared_ptr<PluginHost::Instance>> PluginHost::LaunchLocked() {
  if (config_.sidecar.has_value() || config_.remote.has_value()) return CallOutside();
  auto instance = std::make_shared<Instance>();
  BULKHEAD_ASSIGN(instance->credentials, services_.issuer->Current());
  const certs::Credentials& credentials = *instance->credentials;
  BULKHEAD_ASSIGN(const certs::Identity server, credentials.authority.Issue(config_.uri, certs::Role::kServer));
  BULKHEAD_ASSIGN(instance->context, certs::TlsContext::ForClient(credentials.agent, config_.uri));

  const LogLevel level = options_.log_output ? LogLevel::kInfo : LogLevel::kDebug;
  instance->output = std::make_unique<OutputLog>(name(), services_.redactor, services_.log, level);
  sandbox::LaunchCallbacks callbacks;
  Instance* const raw = instance.get();
  callbacks.on_output = [raw](sandbox::Stream stream, std::string_view bytes) { raw->output->Write(stream, bytes); };
  callbacks.on_exit = [this, raw](const sandbox::ExitReport& report) {
    RecordExit(report);
    SetHealth({false, "ended: " + report.ToString()});
    const std::lock_guard lock(raw->mutex);
    raw->report = report;
    raw->ended.notify_all();
  };
  auto process = services_.launcher->Launch(config_.spec, &server, credentials.agent.uri, std::move(callbacks));
  if (!process.ok()) {
    return Error(process.error().code(),
                 "plugin \"" + name() + "\" could not be started: " + process.error().message());
  }
  instance->process = std::move(*process);

  RecordStart(sandbox::ToValue(instance->process->attestation()));

  // Whoever stops this host does not have to wait until the plugin listens, or never does.
  SetStarting(instance->process.get());
  auto ready = instance->process->WaitReady(options_.start_timeout);
  SetStarting(nullptr);
  if (!ready.ok()) {
    instance->process->Kill();
    instance->process->WaitExit(std::chrono::seconds(5));
    std::string reason = "plugin \"" + name() + "\" did not become ready on port " +
                         std::to_string(config_.spec.serve_port) + ": " + ready.error().message();
    const std::string last = instance->output->LastLines();
    if (!last.empty()) reason += "; its last output: " + last;
    return Error(ready.error().code(), reason);
  }
  const auto connect = [this, raw](SteadyTime deadline) -> Result<std::unique_ptr<rpc::Stream>> {
    std::unique_lock lock(raw->renewing);
    BULKHEAD_TRY(raw->RenewLocked(config_, services_));
    const certs::TlsContext context = *raw->context;
    BULKHEAD_ASSIGN(UniqueFd fd, raw->process->Connect());
    lock.unlock();
    return rpc::OpenTls(context, std::move(fd), deadline);
  };
  instance->client = std::make_unique<rpc::PluginClient>(name(), connect, Secret(config_.spec.token), options_.client);
  return instance;
}

void PluginHost::RenewCertificates() {
  std::shared_ptr<Instance> instance;
  {
    // Held while a compartment starts, which gets present ones anyway.
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock.owns_lock()) instance = instance_;
  }
  if (instance != nullptr && config_.remote.has_value()) {
    instance->TrustOutside(*config_.remote->context);
    return;
  }
  if (instance == nullptr || instance->process == nullptr) return;
  // Who holds it connects, and renews before.
  const std::unique_lock lock(instance->renewing, std::try_to_lock);
  if (!lock.owns_lock()) return;
  if (const Status renewed = instance->RenewLocked(config_, services_); !renewed.ok())
    services_.log->Log(LogLevel::kDebug, "certificates not renewed",
                       {{"plugin", name()}, {"reason", renewed.error().message()}});
}

void PluginHost::SetStarting(sandbox::SandboxedProcess* process) {
  const std::lock_guard lock(facts_mutex_);
  starting_ = process;
  if (process != nullptr && stopping_) process->Kill();
}

void PluginHost::Stop() {
  stopping_ = true;
  {
    const std::lock_guard lock(facts_mutex_);
    if (starting_ != nullptr) starting_->Kill();
  }
  std::shared_ptr<Instance> instance;
  {
    const std::lock_guard lock(mutex_);
    instance = std::move(instance_);
    instance_.reset();
  }
  if (instance == nullptr) return;
  {
    const std::lock_guard lock(instance->mutex);
    instance->stopping = true;
    instance->ended.notify_all();
    for (const int fd : instance->waiting) ::shutdown(fd, SHUT_RDWR);
  }
  if (instance->process == nullptr) return;
  instance->process->Kill();
  instance->process->WaitExit(std::chrono::seconds(10));
}

void PluginHost::Record(audit::Event event, Value fields) {
  services_.audit->Append({event, std::move(fields)}, [report = services_.on_audit_failure](const Status& status) {
    if (!status.ok()) report(status.error());
  });
}

void PluginHost::RecordExit(const sandbox::ExitReport& report) {
  const std::string text = services_.redactor->Redact(report.ToString());
  Value fields = Value::Object();
  fields.Set("plugin", Value::String(name()));
  fields.Set("cause", Value::String(std::string(sandbox::CauseName(report.cause))));
  if (!report.syscall.empty()) fields.Set("syscall", Value::String(report.syscall));
  fields.Set("text", Value::String(text));
  Record(audit::Event::kPluginExit, std::move(fields));
  services_.metrics->Add("bulkhead_plugin_exits_total",
                         MetricLabel("plugin", name()) + "," + MetricLabel("cause", sandbox::CauseName(report.cause)));
  const bool ours = report.cause == sandbox::ExitReport::Cause::kKilled;
  services_.log->Log(ours ? LogLevel::kDebug : LogLevel::kWarn, "plugin ended", {{"plugin", name()}, {"reason", text}});
}

}  // namespace bulkhead::agent

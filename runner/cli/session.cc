#include "runner/cli/session.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include "certs/issuer.h"
#include "certs/tls.h"
#include "runner/base/io.h"
#include "runner/base/text.h"
#include "runner/cli/prepare.h"
#include "runner/cli/print.h"
#include "runner/cli/progress.h"
#include "runner/cli/signals.h"
#include "runner/http/executor.h"
#include "runner/source/local.h"
#include "runner/source/manifest.h"

namespace bulkhead::cli {

namespace {

constexpr auto kRunCertificateLifetime = std::chrono::hours(24);

// What the user gave, read and checked; nothing has been started.
struct Inputs {
  std::vector<source::LocalSet> sets;
  std::vector<agent::PluginManifest> plugins;
  // Read once: nothing is reloaded in a run.
  std::unique_ptr<http::EgressHolder> egress;
  std::unique_ptr<policy::Holder> policies;
  std::map<std::string, std::string, std::less<>> references;  // "<secret>/<key>" to its value, for HTTP templates
  std::vector<redact::NamedSecret> secrets;
};

// --- reading --------------------------------------------------------------------------------------

// HTTP templates alone need no plugin.
Status CheckNoPluginIsNeeded(const std::vector<source::LocalSet>& sets) {
  for (const source::LocalSet& set : sets) {
    for (const auto& stage : set.stages) {
      for (const agent::Task& task : stage) {
        if (!task.is_http())
          return Error(Code::kInvalidInput, "task " + task.node + " is for a plugin: give its manifest with --plugins");
      }
    }
  }
  return OkStatus();
}

Result<Inputs> ReadInputs(const SessionOptions& options) {
  Inputs inputs;
  BULKHEAD_ASSIGN(inputs.sets, source::LoadSets(options.inputs));
  if (!options.plugins.empty()) {
    BULKHEAD_ASSIGN(inputs.plugins, source::LoadPlugins(options.plugins));
    BULKHEAD_ASSIGN(inputs.references, source::LoadSecrets(options.plugins));
  } else {
    BULKHEAD_TRY(CheckNoPluginIsNeeded(inputs.sets));
  }
  inputs.egress = std::make_unique<http::EgressHolder>();
  BULKHEAD_ASSIGN(inputs.policies, policy::Holder::Load(options.policies, inputs.egress.get()));
  BULKHEAD_TRY(ReadSecretFiles(options.secret_files, inputs.secrets));
  BULKHEAD_TRY(CheckRootfs(options.rootfs, inputs.plugins));
  return inputs;
}

// --- audit records of the run itself ---------------------------------------------------------------

audit::Record StopRecord(const agent::RunOutcome& outcome) {
  Value fields = Value::Object();
  fields.Set("reason", Value::String(outcome.interrupted ? "interrupted" : outcome.timed_out ? "timeout" : "done"));
  return {audit::Event::kAgentStop, std::move(fields)};
}

// --- the run --------------------------------------------------------------------------------------

class Session {
 public:
  Session(const SessionOptions& options, Inputs inputs)
      : options_(options),
        inputs_(std::move(inputs)),
        log_(options.verbose ? LogLevel::kInfo : LogLevel::kWarn, LogFormat::kText) {}

  Result<SessionReport> Run() {
    BULKHEAD_TRY(MakeLauncher());
    BULKHEAD_TRY(MakePlugins());
    BULKHEAD_TRY(MakeServices());
    BULKHEAD_ASSIGN(const agent::RunOutcome outcome, RunAgent());
    return Report(outcome);
  }

 private:
  Status MakeLauncher() {
    const sandbox::KernelFeatures features = sandbox::ProbeKernel();
    BULKHEAD_ASSIGN(launcher_, sandbox::Launcher::Create(features, {}));
    tiers_ = sandbox::TryTiers(features, *launcher_);
    return OkStatus();
  }

  Status MakePlugins() {
    // Identities name the workflow; a run of several is named as such.
    identity_ = inputs_.sets.front().workflow;
    if (inputs_.sets.size() > 1) identity_.name = "run";
    for (agent::PluginManifest& manifest : inputs_.plugins) {
      BULKHEAD_ASSIGN(Prepared prepared,
                      Prepare(manifest, options_.tier, options_.rootfs, tiers_, identity_, inputs_.secrets));
      for (const std::string& notice : prepared.config.notices)
        PrintError("notice: " + manifest.name + ": " + EscapeForTerminal(notice));
      prepared_.push_back(std::move(prepared));
    }
    return OkStatus();
  }

  Status MakeServices() {
    BULKHEAD_ASSIGN(redactor_, redact::Redactor::Create(std::move(inputs_.secrets)));
    BULKHEAD_ASSIGN(const std::string uri, certs::AgentUri(kTrustDomain, identity_.name_space, identity_.name));
    BULKHEAD_ASSIGN(issuer_, certs::Issuer::Create(kTrustDomain, uri, kRunCertificateLifetime, clock_));
    BULKHEAD_ASSIGN(audit_, audit::AuditLog::Open(options_.audit, clock_));
    BULKHEAD_TRY(audit_->AppendSync(StartRecord(options_.tier, *inputs_.policies->Get(), tiers_)));

    services_.launcher = launcher_.get();
    services_.issuer = issuer_.get();
    services_.redactor = redactor_;
    services_.audit = audit_.get();
    services_.metrics = &metrics_;
    MakeHttp();
    services_.log = &log_;
    return OkStatus();
  }

  void MakeHttp() {
    http::ExecutorOptions options;
    options.holder = inputs_.egress.get();
    options.redactor = redactor_;
    options.proxies = http::ProxySettings::FromEnvironment([](const char* name) { return std::getenv(name); });
    options.secrets = [this](std::string_view, std::string_view secret, std::string_view key) -> Result<Secret> {
      const std::string name = std::string(secret) + "/" + std::string(key);
      const auto found = inputs_.references.find(name);
      if (found != inputs_.references.end()) return Secret(found->second);
      return Error(Code::kNotFound, "secret " + EscapeForTerminal(name) +
                                        " is not there: give a kind: Secret document that has it with --plugins");
    };
    http_ = std::make_unique<http::Executor>(std::move(options));
    services_.http = http_.get();
  }

  Result<agent::RunOutcome> RunAgent() {
    agent::HostOptions host_options;
    host_options.start_timeout = options_.start_timeout;
    host_options.client.max_idle_connections = options_.workers;
    host_options.log_output = options_.verbose;
    std::vector<std::unique_ptr<agent::PluginHost>> hosts;
    std::vector<agent::PluginHost*> order;
    std::atomic<agent::Agent*> running = nullptr;
    services_.on_audit_failure = [&running](const Error& error) {
      if (agent::Agent* const agent = running.load()) agent->FailAudit(error);
    };
    for (Prepared& plugin : prepared_) {
      BULKHEAD_TRY(TellRefusal(plugin, *audit_, metrics_));
      hosts.push_back(std::make_unique<agent::PluginHost>(std::move(plugin.config), services_, host_options,
                                                          std::move(plugin.refusal)));
      order.push_back(hosts.back().get());
    }
    agent::AgentOptions agent_options;
    agent_options.workers = options_.workers;
    agent_options.timeout = options_.timeout;
    agent::Agent agent(order, *inputs_.policies, services_, agent_options);
    running = &agent;

    Progress progress(TaskCount());
    run_ = std::make_unique<source::LocalRun>(std::move(inputs_.sets),
                                              [&progress](const agent::TaskReport& report) { progress.Saw(report); });
    const SignalWatch signals([&agent] { agent.Interrupt(); });
    agent::RunOutcome outcome = agent.Run(*run_, *run_);
    progress.Done();
    // All compartments at once: each may take a moment to be gone.
    std::vector<std::thread> stops;
    stops.reserve(hosts.size());
    for (agent::PluginHost* host : order) stops.emplace_back([host] { host->Stop(); });
    for (std::thread& stop : stops) stop.join();
    if (outcome.audit_failure.has_value()) return outcome;
    if (const Status stopped = audit_->AppendSync(StopRecord(outcome)); !stopped.ok())
      outcome.audit_failure = stopped.error();
    return outcome;
  }

  size_t TaskCount() const {
    size_t count = 0;
    for (const source::LocalSet& set : inputs_.sets) {
      for (const auto& stage : set.stages) count += stage.size();
    }
    return count;
  }

  Result<SessionReport> Report(const agent::RunOutcome& outcome) {
    SessionReport report;
    report.outcome = outcome;
    report.tasks = run_->Reports();
    report.status = run_->Status();
    report.audit = options_.audit;
    audit_.reset();
    auto verified = audit::Verify(options_.audit);
    if (verified.ok()) {
      report.audit_verified = verified->ok;
      report.audit_records = verified->records;
      report.audit_head = verified->head;
      report.audit_reason = verified->reason;
    } else {
      report.audit_reason = verified.error().message();
    }
    if (!options_.metrics.empty()) {
      BULKHEAD_ASSIGN(const UniqueFd file, OpenFile(options_.metrics, O_WRONLY | O_CREAT | O_TRUNC, 0644));
      BULKHEAD_TRY(WriteAll(file.get(), metrics_.Exposition()));
    }
    return report;
  }

  const SessionOptions& options_;
  Inputs inputs_;
  Clock clock_;
  Logger log_;
  Metrics metrics_;
  sandbox::TierReport tiers_;
  agent::WorkflowRef identity_;
  std::vector<Prepared> prepared_;
  std::shared_ptr<const redact::Redactor> redactor_;
  std::unique_ptr<certs::Issuer> issuer_;
  std::unique_ptr<sandbox::Launcher> launcher_;
  std::unique_ptr<audit::AuditLog> audit_;
  std::unique_ptr<http::Executor> http_;
  agent::HostServices services_;
  std::unique_ptr<source::LocalRun> run_;
};

}  // namespace

bool SessionReport::AllSucceeded() const {
  return !outcome.timed_out && !outcome.interrupted && audit_verified &&
         std::all_of(tasks.begin(), tasks.end(),
                     [](const agent::TaskReport& task) { return task.phase == "Succeeded"; });
}

Result<SessionReport> RunSession(const SessionOptions& options) {
  certs::InitTlsLibrary();
  BULKHEAD_ASSIGN(Inputs inputs, ReadInputs(options));
  // Before any thread is made, so that all of them leave the signals to the watch.
  BlockSignals();
  return Session(options, std::move(inputs)).Run();
}

void PrintSummary(const SessionReport& report) {
  std::vector<std::vector<Cell>> rows;
  size_t succeeded = 0;
  size_t stopped = 0;
  for (const agent::TaskReport& task : report.tasks) {
    const bool good = task.phase == "Succeeded";
    succeeded += good ? 1 : 0;
    stopped += task.stopped_by != agent::Layer::kNone ? 1 : 0;
    std::string message = task.message;
    if (task.stopped_by != agent::Layer::kNone)
      message = "[" + std::string(agent::LayerName(task.stopped_by)) + "] " + message;
    if (task.final && !agent::IsFulfilled(task.phase)) message += " (left " + task.phase + " without a requeue)";
    rows.push_back({Cell{task.node}, Cell{task.plugin.empty() ? "-" : task.plugin},
                    Cell{task.phase, good                      ? Tone::kGood
                                     : task.phase == "Omitted" ? Tone::kDim
                                                               : Tone::kBad},
                    Cell{std::to_string(task.calls), Tone::kPlain, true},
                    Cell{std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(task.elapsed).count()),
                         Tone::kPlain, true},
                    Cell{task.tier.empty() ? "-" : task.tier}, Cell{std::to_string(task.allowed), Tone::kPlain, true},
                    Cell{std::to_string(task.refused), Tone::kPlain, true}, Cell{message}});
  }
  Print(Table({"NODE", "PLUGIN", "PHASE", "CALLS", "MS", "TIER", "ALLOWED", "REFUSED", "MESSAGE"}, rows));
  Print("\n" + std::to_string(report.tasks.size()) + " tasks: " + std::to_string(succeeded) + " succeeded, " +
        std::to_string(report.tasks.size() - succeeded) + " did not, " + std::to_string(stopped) +
        " of them stopped by Bulkhead\n");
  Print("audit log: " + report.audit + ": " + std::to_string(report.audit_records) + " records, " +
        (report.audit_verified ? "verified, head " + report.audit_head : "DOES NOT VERIFY: " + report.audit_reason) +
        "\n");
}

}  // namespace bulkhead::cli

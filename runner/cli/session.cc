#include "runner/cli/session.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "certs/identity.h"
#include "certs/tls.h"
#include "runner/base/io.h"
#include "runner/base/secret.h"
#include "runner/base/text.h"
#include "runner/cli/print.h"
#include "runner/cli/progress.h"
#include "runner/cli/signals.h"
#include "runner/http/executor.h"
#include "runner/source/local.h"
#include "runner/source/manifest.h"

namespace bulkhead::cli {

namespace {

constexpr std::string_view kTrustDomain = "bulkhead.local";
constexpr auto kCertificateLifetime = std::chrono::hours(24);
constexpr size_t kTokenLength = 32;  // as Argo's agent init makes them
constexpr size_t kMostSecretBytes = 64U << 10U;

// What the user gave, read and checked; nothing has been started.
struct Inputs {
  std::vector<source::LocalSet> sets;
  std::vector<agent::PluginManifest> plugins;
  policy::PolicySet policies;
  http::EgressPolicies egress;
  std::map<std::string, std::string, std::less<>> references;  // "<secret>/<key>" to its value, for HTTP templates
  std::vector<redact::NamedSecret> secrets;
};

// --- reading --------------------------------------------------------------------------------------

// The characters that a mask's name may have.
std::string MaskName(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                       c == '_' || c == '-' || c == '/';
    out += plain ? c : '_';
  }
  return out;
}

Status ReadSecretFiles(const std::vector<std::string>& files, std::vector<redact::NamedSecret>& secrets) {
  for (const std::string& file : files) {
    auto text = ReadFile(file, kMostSecretBytes);
    if (!text.ok()) return Error(Code::kInvalidInput, "--secret-file " + text.error().message());
    // The line end that editors add is not part of the secret.
    while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
    if (text->empty()) return Error(Code::kInvalidInput, "--secret-file " + file + ": the file is empty");
    secrets.push_back({MaskName(std::filesystem::path(file).filename().string()), Secret(std::move(*text))});
  }
  return OkStatus();
}

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
  if (!options.policies.empty()) {
    BULKHEAD_ASSIGN(inputs.policies, policy::LoadPolicies(options.policies));
    BULKHEAD_ASSIGN(inputs.egress, http::LoadEgressPolicies(options.policies));
  }
  BULKHEAD_TRY(ReadSecretFiles(options.secret_files, inputs.secrets));
  for (const auto& [name, folder] : options.rootfs) {
    const bool known = std::any_of(inputs.plugins.begin(), inputs.plugins.end(),
                                   [&wanted = name](const auto& plugin) { return plugin.name == wanted; });
    if (!known)
      return Error(Code::kInvalidInput, "--rootfs " + name + "=" + folder + ": there is no plugin \"" + name + "\"");
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error))
      return Error(Code::kInvalidInput, "--rootfs " + name + "=" + folder + ": no such folder");
  }
  return inputs;
}

// --- plugins --------------------------------------------------------------------------------------

// A plugin's configuration, or why it is not started: then its tasks fail with that reason and the
// others go on.
struct Prepared {
  agent::PluginConfig config;
  std::optional<Error> refusal;
};

Result<Prepared> Prepare(agent::PluginManifest& manifest, const SessionOptions& options,
                         const sandbox::TierReport& tiers, const agent::WorkflowRef& identity,
                         std::vector<redact::NamedSecret>& secrets) {
  const Secret token = RandomToken(kTokenLength);
  secrets.push_back({MaskName(manifest.name + "/token"), token.Clone()});
  for (const agent::EnvVar& variable : manifest.env) {
    if (variable.secret && !variable.value.empty())
      secrets.push_back({MaskName(variable.secret_name), Secret(variable.value)});
  }
  Prepared prepared;
  prepared.config.handles = manifest.handles;
  BULKHEAD_ASSIGN(prepared.config.uri,
                  certs::PluginUri(kTrustDomain, identity.name_space, identity.name, manifest.name));

  auto tier = agent::ChooseTier(options.tier, sandbox::BestTier(tiers), tiers.strict, tiers.restricted, manifest);
  if (!tier.ok()) {
    prepared.refusal = tier.error();
    prepared.config.spec.name = manifest.name;
    prepared.config.spec.tier = manifest.minimum_tier.value_or(options.tier.value_or(sandbox::Tier::kStrict));
    return prepared;
  }
  const auto rootfs = options.rootfs.find(manifest.name);
  const bool has_rootfs = rootfs != options.rootfs.end();
  BULKHEAD_ASSIGN(prepared.config.spec,
                  agent::MakeCompartment(manifest, *tier, has_rootfs ? rootfs->second : "", token.Reveal()));
  if (!manifest.image.empty() && !has_rootfs) {
    manifest.notices.push_back("image " + manifest.image +
                               " is not run here: a read-only view of the host's root serves instead; --rootfs " +
                               manifest.name + "=DIR gives it another");
  }
  if (auto valid = sandbox::Validate(prepared.config.spec); !valid.ok())
    return valid.error().WithContext(manifest.file);
  prepared.config.notices = manifest.notices;
  return prepared;
}

// --- audit records of the run itself ---------------------------------------------------------------

audit::Record StartRecord(const SessionOptions& options, const policy::PolicySet& policies,
                          const sandbox::TierReport& tiers) {
  Value fields = Value::Object();
  fields.Set("version", Value::String(BULKHEAD_VERSION));
  fields.Set("policyDigest", Value::String(policies.Digest()));
  Value names = Value::Array();
  for (const std::string& name : policies.Names()) names.items.push_back(Value::String(name));
  fields.Set("policies", std::move(names));
  fields.Set("tierRequested",
             Value::String(options.tier.has_value() ? std::string(sandbox::TierName(*options.tier)) : "auto"));
  Value available = Value::Array();
  if (tiers.strict) available.items.push_back(Value::String("strict"));
  if (tiers.restricted) available.items.push_back(Value::String("restricted"));
  fields.Set("tiers", std::move(available));
  return {audit::Event::kAgentStart, std::move(fields)};
}

audit::Record StopRecord(const agent::RunOutcome& outcome) {
  Value fields = Value::Object();
  fields.Set("reason", Value::String(outcome.interrupted ? "interrupted" : outcome.timed_out ? "timeout" : "done"));
  return {audit::Event::kAgentStop, std::move(fields)};
}

audit::Record RefusedTierRecord(const Prepared& plugin) {
  Value fields = Value::Object();
  fields.Set("plugin", Value::String(plugin.config.spec.name));
  fields.Set("reason", Value::String(plugin.refusal->message()));
  return {audit::Event::kTierRefused, std::move(fields)};
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
      BULKHEAD_ASSIGN(Prepared prepared, Prepare(manifest, options_, tiers_, identity_, inputs_.secrets));
      for (const std::string& notice : prepared.config.notices)
        PrintError("notice: " + manifest.name + ": " + EscapeForTerminal(notice));
      prepared_.push_back(std::move(prepared));
    }
    return OkStatus();
  }

  Status MakeServices() {
    BULKHEAD_ASSIGN(redactor_, redact::Redactor::Create(std::move(inputs_.secrets)));
    BULKHEAD_ASSIGN(certs::Authority authority, certs::Authority::Create(kTrustDomain, kCertificateLifetime, clock_));
    authority_ = std::make_unique<certs::Authority>(std::move(authority));
    BULKHEAD_ASSIGN(const std::string uri, certs::AgentUri(kTrustDomain, identity_.name_space, identity_.name));
    BULKHEAD_ASSIGN(agent_identity_, authority_->Issue(uri, certs::Role::kClient));
    BULKHEAD_ASSIGN(audit_, audit::AuditLog::Open(options_.audit, clock_));
    BULKHEAD_TRY(audit_->AppendSync(StartRecord(options_, inputs_.policies, tiers_)));

    services_.launcher = launcher_.get();
    services_.authority = authority_.get();
    services_.agent_identity = &agent_identity_;
    services_.redactor = redactor_;
    services_.audit = audit_.get();
    services_.metrics = &metrics_;
    MakeHttp();
    services_.log = &log_;
    return OkStatus();
  }

  void MakeHttp() {
    http::ExecutorOptions options;
    options.policies = &inputs_.egress;
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
      if (plugin.refusal.has_value()) {
        BULKHEAD_TRY(audit_->AppendSync(RefusedTierRecord(plugin)));
        metrics_.Add("bulkhead_tier_refused_total", MetricLabel("plugin", plugin.config.spec.name));
        PrintError("error: " + EscapeForTerminal(plugin.refusal->message()));
      }
      hosts.push_back(std::make_unique<agent::PluginHost>(std::move(plugin.config), services_, host_options,
                                                          std::move(plugin.refusal)));
      order.push_back(hosts.back().get());
    }
    agent::AgentOptions agent_options;
    agent_options.workers = options_.workers;
    agent_options.timeout = options_.timeout;
    agent::Agent agent(order, inputs_.policies, services_, agent_options);
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
  std::unique_ptr<certs::Authority> authority_;
  certs::Identity agent_identity_;
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

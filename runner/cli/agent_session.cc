#include "runner/cli/agent_session.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "certs/issuer.h"
#include "certs/tls.h"
#include "runner/agent/agent.h"
#include "runner/agent/policy_reload.h"
#include "runner/base/io.h"
#include "runner/base/secret.h"
#include "runner/base/text.h"
#include "runner/cli/agent_figures.h"
#include "runner/cli/signals.h"
#include "runner/gateway/admin.h"
#include "runner/gateway/file_watch.h"
#include "runner/http/egress_holder.h"
#include "runner/http/executor.h"
#include "runner/http/proxy.h"
#include "runner/kube/client.h"
#include "runner/kube/config.h"
#include "runner/kube/lease.h"
#include "runner/source/kubernetes.h"
#include "runner/source/kubernetes_plugins.h"
#include "runner/source/kubernetes_sink.h"

namespace bulkhead::cli {

namespace {

constexpr auto kCertificateLifetime = std::chrono::hours(24 * 30);
constexpr auto kLookAtFilesEvery = std::chrono::seconds(1);
constexpr auto kFlush = std::chrono::seconds(8);
constexpr auto kTryPluginAgain = std::chrono::seconds(30);
// The lease must be known to be lost before another agent may take it; see kube::Lease.
constexpr auto kLeaseTimeout = std::chrono::milliseconds(1500);

std::string VariableOf(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string HostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "bulkhead";
}

Result<kube::ClusterConfig> Cluster(const AgentSettings& settings) {
  if (!settings.kubeconfig.empty()) return kube::FromKubeconfig(settings.kubeconfig, settings.context);
  return kube::InCluster(VariableOf);
}

audit::Record StopRecord(const std::string& reason) {
  Value fields = Value::Object();
  fields.Set("reason", Value::String(reason));
  return {audit::Event::kAgentStop, std::move(fields)};
}

audit::Record RefusedRecord(const source::RefusedResult& refused) {
  Value fields = Value::Object();
  fields.Set("workflow", Value::String(refused.workflow));
  fields.Set("namespace", Value::String(refused.name_space));
  fields.Set("node", Value::String(refused.node));
  fields.Set("phase", Value::String("Error"));
  fields.Set("stoppedBy", Value::String("api-server"));
  fields.Set("reason", Value::String(refused.reason));
  return {audit::Event::kRefusal, std::move(fields)};
}

class AgentSession {
 public:
  explicit AgentSession(const AgentSettings& settings)
      : settings_(settings), log_(settings.log_level, settings.log_format) {}

  Status Run() {
    BULKHEAD_TRY(ReachCluster());
    BULKHEAD_TRY(ReadPolicies());
    BULKHEAD_TRY(ReadPlugins());
    BULKHEAD_TRY(MakeServices());
    return Work();
  }

 private:
  // --- what is there before anything runs ---

  Status ReachCluster() {
    BULKHEAD_ASSIGN(cluster_, Cluster(settings_));
    name_space_ = settings_.name_space.empty() ? cluster_.name_space : settings_.name_space;
    client_ = std::make_unique<kube::Client>(cluster_.Clone());
    if (Secret token = client_->Token(); !token.empty()) secrets_.push_back({"serviceaccount/token", std::move(token)});
    return OkStatus();
  }

  Status ReadPolicies() {
    BULKHEAD_ASSIGN(policies_, policy::Holder::Load(settings_.policies, &egress_));
    if (!settings_.metrics_listen.empty()) {
      BULKHEAD_ASSIGN(admin_address_, gateway::ParseListenAddress(settings_.metrics_listen));
    }
    return OkStatus();
  }

  Result<std::vector<agent::PluginManifest>> ReadManifests() {
    std::vector<source::PluginDocument> documents;
    if (settings_.workflow_plugins) {
      BULKHEAD_ASSIGN(documents, source::FetchWorkflowPlugins(*client_, name_space_, settings_.workflow));
    }
    // Those of the workflow stand for all others, as Argo has it.
    if (documents.empty()) {
      if (!settings_.plugins.empty()) {
        BULKHEAD_ASSIGN(documents, source::ReadPluginDocuments(settings_.plugins));
      }
      BULKHEAD_ASSIGN(std::vector<source::PluginDocument> more,
                      source::FetchPluginConfigMaps(*client_, name_space_, settings_.plugin_config_maps));
      for (source::PluginDocument& document : more) documents.push_back(std::move(document));
    }
    if (documents.empty()) return std::vector<agent::PluginManifest>();
    return source::ReadPlugins(std::move(documents), source::LookupIn(*client_, name_space_, HostName()));
  }

  Status ReadPlugins() {
    identity_ = {settings_.all ? "agent" : settings_.workflow, name_space_, settings_.workflow_uid};
    BULKHEAD_ASSIGN(std::vector<agent::PluginManifest> manifests, ReadManifests());
    BULKHEAD_TRY(CheckRootfs(settings_.rootfs, manifests));
    if (!manifests.empty()) {
      const sandbox::KernelFeatures features = sandbox::ProbeKernel();
      BULKHEAD_ASSIGN(launcher_, sandbox::Launcher::Create(features, {}));
      tiers_ = sandbox::TryTiers(features, *launcher_);
    }
    for (agent::PluginManifest& manifest : manifests) {
      BULKHEAD_ASSIGN(Prepared prepared,
                      Prepare(manifest, settings_.tier, settings_.rootfs, tiers_, identity_, secrets_));
      for (const std::string& notice : prepared.config.notices)
        log_.Log(LogLevel::kInfo, "notice", {{"plugin", manifest.name}, {"notice", notice}});
      prepared_.push_back(std::move(prepared));
    }
    BULKHEAD_TRY(AddSidecars(settings_.sidecars, name_space_, *policies_, prepared_, secrets_));
    BULKHEAD_TRY(AddRemotePlugins(settings_.remote_plugins, name_space_, settings_.tls, prepared_));
    return ReadSecretFiles(settings_.secret_files, secrets_);
  }

  Status MakeServices() {
    BULKHEAD_ASSIGN(redactor_, redact::Redactor::Create(std::move(secrets_)));
    BULKHEAD_ASSIGN(const std::string uri, certs::AgentUri(kTrustDomain, identity_.name_space, identity_.name));
    BULKHEAD_ASSIGN(issuer_, certs::Issuer::Create(kTrustDomain, uri, kCertificateLifetime, clock_));
    agent::JournalOptions journal_options;
    journal_options.sync_starts = !settings_.repeat_in_flight;
    BULKHEAD_ASSIGN(journal_, agent::Journal::Open(settings_.journal, journal_options));
    if (journal_->cut_bytes() > 0)
      log_.Log(LogLevel::kWarn, "the end of the journal was torn and is cut off",
               {{"bytes", std::to_string(journal_->cut_bytes())}});
    const std::string folder = std::filesystem::path(settings_.audit).parent_path().string();
    std::error_code ignored;  // opening the log tells
    if (!folder.empty()) std::filesystem::create_directory(folder, ignored);
    BULKHEAD_ASSIGN(audit_, audit::AuditLog::Open(settings_.audit, clock_));
    BULKHEAD_TRY(audit_->AppendSync(StartRecord(settings_.tier, *policies_->Get(), tiers_)));
    services_.launcher = launcher_.get();
    services_.issuer = issuer_.get();
    services_.redactor = redactor_;
    services_.audit = audit_.get();
    services_.metrics = &metrics_;
    services_.log = &log_;
    MakeHttp();
    services_.on_audit_failure = [this](const Error& error) { FailAudit(error); };
    figures_.Show(journal_.get());
    return OkStatus();
  }

  void MakeHttp() {
    http::ExecutorOptions options;
    options.holder = &egress_;
    options.redactor = redactor_;
    options.proxies = http::ProxySettings::FromEnvironment([](const char* name) { return std::getenv(name); });
    options.secrets = [this](std::string_view name_space, std::string_view secret, std::string_view key) {
      return source::FetchSecret(*client_, std::string(name_space), std::string(secret), key);
    };
    http_ = std::make_unique<http::Executor>(std::move(options));
    services_.http = http_.get();
  }

  void FailAudit(const Error& error) {
    if (agent::Agent* const agent = running_.load()) agent->FailAudit(error);
  }

  // --- the work ---

  Status Work() {
    BULKHEAD_TRY(MakeHosts());
    BULKHEAD_TRY(Operate());
    agent::AgentOptions options;
    options.workers = settings_.workers;
    options.drain = settings_.drain;
    options.report_unfinished = false;
    options.journal = journal_.get();
    options.repeat_in_flight = settings_.repeat_in_flight;
    agent::Agent agent(order_, *policies_, services_, options);
    running_ = &agent;

    kube::ClientOptions lease_options;
    lease_options.timeout = lease_options.connect_timeout = kLeaseTimeout;
    kube::Client lease_client(cluster_.Clone(), lease_options);
    const SignalWatch signals(
        [&] {
          log_.Log(LogLevel::kInfo, "a signal came: nothing new is begun, and what runs may end");
          readiness_.draining = true;
          agent.Interrupt();
          if (!leading_) lease_client.Stop();
        },
        [this] { watch_->Poke(); });
    std::optional<kube::Lease> lease;
    if (!settings_.lease.empty()) {
      const std::string identity = HostName() + "_" + std::string(RandomToken(8).Reveal());
      kube::LeaseOptions wanted;
      wanted.name_space = name_space_;
      wanted.name = settings_.lease;
      wanted.identity = identity;
      wanted.on_standing_by = [this] { readiness_.started = true; };
      lease.emplace(lease_client, log_, wanted);
      figures_.Show(&*lease);
      if (!lease->Acquire().ok()) {
        figures_.Show(static_cast<const kube::Lease*>(nullptr));
        running_ = nullptr;
        return Stop("signal");
      }
      leading_ = true;
      lease->Keep([&] {
        lost_ = true;
        agent.Abort();
      });
    }
    Status ran = RunAgent(agent, lease);
    watch_.reset();
    figures_.Show(static_cast<const kube::Lease*>(nullptr));
    running_ = nullptr;
    return ran;
  }

  // What those who operate the agent see of it, and the files that they change under it.
  Status Operate() {
    agent::ExposePolicyReload(metrics_);
    std::vector<gateway::WatchedFiles> watched;
    if (!settings_.policies.empty())
      watched.push_back({settings_.policies, [this] { agent::ReloadPolicies(*policies_, services_); }});
    watch_ = std::make_unique<gateway::FileWatch>(std::move(watched), kLookAtFilesEvery, [this] {
      for (agent::PluginHost* host : order_) host->RenewCertificates();
    });
    if (settings_.metrics_listen.empty()) return OkStatus();
    gateway::AdminFacts facts;
    facts.starting = "the task sets were not listed yet";
    facts.plugins = [this] {
      std::vector<gateway::PluginState> states;
      for (const agent::PluginHost* host : order_) states.push_back({host->name(), host->tier(), host->Health()});
      return states;
    };
    facts.more = [this](Value& detail) { figures_.Describe(detail); };
    facts.measure = [this] { figures_.Measure(metrics_); };
    admin_ = std::make_unique<gateway::Admin>(readiness_, std::move(facts), *policies_, *audit_, *redactor_, metrics_);
    BULKHEAD_ASSIGN(admin_server_, gateway::StartAdmin(admin_address_, *admin_, metrics_));
    log_.Log(LogLevel::kInfo, "/healthz, /readyz and /metrics are served", {{"address", admin_address_.ToString()}});
    return OkStatus();
  }

  Status MakeHosts() {
    agent::HostOptions options;
    options.start_timeout = settings_.start_timeout;
    options.client.max_idle_connections = settings_.workers;
    options.try_again_after = kTryPluginAgain;
    for (Prepared& plugin : prepared_) {
      BULKHEAD_TRY(TellRefusal(plugin, *audit_, metrics_));
      // Of a sidecar it is asked again before each call.
      if (plugin.config.sidecar.has_value()) plugin.refusal.reset();
      hosts_.push_back(
          std::make_unique<agent::PluginHost>(std::move(plugin.config), services_, options, std::move(plugin.refusal)));
      order_.push_back(hosts_.back().get());
    }
    return OkStatus();
  }

  Status RunAgent(agent::Agent& agent, std::optional<kube::Lease>& lease) {
    kube::Client sink_client(cluster_.Clone());
    source::KubernetesSink sink(
        sink_client, log_, metrics_, journal_.get(), {},
        [this](const source::RefusedResult& refused) {
          audit::Record record = RefusedRecord(refused);
          redactor_->RedactTree(record.fields);
          audit_->Append(std::move(record), [this](const Status& status) {
            if (!status.ok()) FailAudit(status.error());
          });
        },
        [this](const Error& error) { FailAudit(error); });
    figures_.Show(&sink);
    source::KubernetesOptions options;
    options.on_listed = [this] { readiness_.started = true; };
    options.name_space = name_space_;
    if (!settings_.all) options.workflow = settings_.workflow;
    options.workflow_uid = settings_.workflow_uid;
    options.instance_id = settings_.instance_id;
    const auto on_gone_tasks = [&sink](const agent::WorkflowRef& workflow, const std::vector<std::string>& nodes) {
      sink.Drop(workflow, nodes);
    };
    source::KubernetesSource source(*client_, log_, metrics_, journal_.get(), options, on_gone_tasks,
                                    [&](source::TaskSets::End end) {
                                      completed_ = true;
                                      // Of a task set that is gone nothing can be delivered any more.
                                      if (end == source::TaskSets::End::kDeleted) return agent.Abort();
                                      agent.Interrupt();
                                    });
    log_.Log(LogLevel::kInfo, "the agent runs",
             {{"namespace", name_space_},
              {"workflow", settings_.all ? "*" : settings_.workflow},
              {"plugins", std::to_string(hosts_.size())}});
    const agent::RunOutcome outcome = agent.Run(source, sink);
    source.Stop();
    // What is had is delivered; after a lost lease another agent may be at the same tasks.
    if (!lost_ && !outcome.audit_failure.has_value() && !sink.Flush(std::chrono::steady_clock::now() + kFlush))
      log_.Log(LogLevel::kWarn, "not all results were delivered in time; the journal has them",
               {{"results", std::to_string(sink.pending())}});
    // All compartments at once: each may take a moment to be gone.
    std::vector<std::thread> stops;
    stops.reserve(order_.size());
    for (agent::PluginHost* host : order_) stops.emplace_back([host] { host->Stop(); });
    for (std::thread& stop : stops) stop.join();
    figures_.Show(static_cast<const source::KubernetesSink*>(nullptr));
    if (lease.has_value()) lease->Release();
    if (outcome.audit_failure.has_value()) return *outcome.audit_failure;
    if (lost_) {
      BULKHEAD_TRY(Stop("lease lost"));
      return Error(Code::kCancelled, "the lease was lost to another agent, or could not be renewed");
    }
    return Stop(completed_ ? "workflow done" : "signal");
  }

  Status Stop(const std::string& reason) {
    log_.Log(LogLevel::kInfo, "the agent ends", {{"reason", reason}});
    if (!settings_.metrics.empty()) {
      BULKHEAD_ASSIGN(const UniqueFd file, OpenFile(settings_.metrics, O_WRONLY | O_CREAT | O_TRUNC, 0644));
      BULKHEAD_TRY(WriteAll(file.get(), metrics_.Exposition()));
    }
    return audit_->AppendSync(StopRecord(reason));
  }

  const AgentSettings& settings_;
  Clock clock_;
  Logger log_;
  Metrics metrics_;
  kube::ClusterConfig cluster_;
  std::string name_space_;
  agent::WorkflowRef identity_;
  http::EgressHolder egress_;
  std::unique_ptr<policy::Holder> policies_;
  std::vector<redact::NamedSecret> secrets_;
  std::vector<Prepared> prepared_;
  std::unique_ptr<kube::Client> client_;
  std::shared_ptr<const redact::Redactor> redactor_;
  std::unique_ptr<certs::Issuer> issuer_;
  sandbox::TierReport tiers_;
  std::unique_ptr<sandbox::Launcher> launcher_;
  std::unique_ptr<agent::Journal> journal_;
  gateway::Readiness readiness_;
  AgentFigures figures_;
  // Below what its last records call back into.
  std::unique_ptr<audit::AuditLog> audit_;
  std::unique_ptr<http::Executor> http_;
  agent::HostServices services_;
  std::vector<std::unique_ptr<agent::PluginHost>> hosts_;
  std::vector<agent::PluginHost*> order_;
  std::atomic<agent::Agent*> running_{nullptr};
  std::atomic<bool> leading_{false};
  std::atomic<bool> lost_{false};
  std::atomic<bool> completed_{false};
  // Above everything that they look at.
  gateway::ListenAddress admin_address_;
  std::unique_ptr<gateway::Admin> admin_;
  std::unique_ptr<gateway::HttpServer> admin_server_;
  std::unique_ptr<gateway::FileWatch> watch_;
};

}  // namespace

Status RunAgentMain(const AgentSettings& settings) {
  // Many threads allocate what one of them frees: an arena for each would keep several times what is in use.
  ::mallopt(M_ARENA_MAX, 2);
  certs::InitTlsLibrary();
  // Before any thread is made, so that all of them leave the signals to the watch.
  BlockSignals();
  return AgentSession(settings).Run();
}

}  // namespace bulkhead::cli

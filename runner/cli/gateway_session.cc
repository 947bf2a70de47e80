#include "runner/cli/gateway_session.h"

#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "certs/issuer.h"
#include "certs/tls.h"
#include "policy/holder.h"
#include "runner/agent/policy_reload.h"
#include "runner/base/text.h"
#include "runner/cli/print.h"
#include "runner/cli/signals.h"
#include "runner/gateway/admin.h"
#include "runner/gateway/bearer_token.h"
#include "runner/gateway/file_watch.h"
#include "runner/gateway/listen.h"
#include "runner/http/egress_holder.h"
#include "runner/source/manifest.h"

namespace bulkhead::cli {

namespace {

constexpr auto kGatewayCertificateLifetime = std::chrono::hours(24 * 30);
constexpr auto kLookAtPoliciesEvery = std::chrono::seconds(1);
constexpr auto kTryStartAgainAfter = std::chrono::seconds(30);
constexpr size_t kMostThreads = 1024;
constexpr char kTokenOfPods[] = "/var/run/argo/token";

// Waits for whichever comes first of a signal and an error that ends everything.
class Stopper {
 public:
  void Stop(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    if (error.has_value() && !error_.has_value()) error_ = std::move(error);
    stopped_ = true;
    wake_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return stopped_; });
  }
  std::optional<Error> error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;        // guarded by mutex_
  std::optional<Error> error_;  // guarded by mutex_
};

// The server's certificate in force; replaced as a whole.
class Certificate {
 public:
  Certificate(certs::TlsFiles files, std::vector<std::string> client_uris)
      : files_(std::move(files)), client_uris_(std::move(client_uris)) {}

  Status Refresh() {
    BULKHEAD_ASSIGN(certs::ServerContext context, certs::ServerContext::Load(files_, client_uris_));
    const std::lock_guard lock(mutex_);
    context_ = std::move(context);
    return OkStatus();
  }
  std::optional<certs::ServerContext> Get() const {
    const std::lock_guard lock(mutex_);
    return context_;
  }

 private:
  const certs::TlsFiles files_;
  const std::vector<std::string> client_uris_;
  mutable std::mutex mutex_;
  std::optional<certs::ServerContext> context_;  // guarded by mutex_
};

class ServeSession {
 public:
  explicit ServeSession(const ServeOptions& options)
      : options_(options),
        log_(options.verbose ? LogLevel::kInfo : LogLevel::kWarn, LogFormat::kText),
        memory_(gateway::StateMemory::Limits{}) {}

  ~ServeSession() { End(); }
  ServeSession(const ServeSession&) = delete;
  ServeSession& operator=(const ServeSession&) = delete;

  // Nothing is started.
  Status Read() {
    BULKHEAD_ASSIGN(plugins_, source::LoadPlugins(options_.plugins));
    BULKHEAD_ASSIGN(policies_, policy::Holder::Load(options_.policies, &egress_));
    BULKHEAD_TRY(ReadSecretFiles(options_.secret_files, secrets_));
    BULKHEAD_TRY(CheckRootfs(options_.rootfs, plugins_));
    for (const std::string& text : options_.listen) {
      BULKHEAD_ASSIGN(gateway::ListenAddress address, gateway::ParseListenAddress(text));
      if (!options_.gateway.tls && !address.loopback) {
        return Error(Code::kInvalidInput, "--listen " + text +
                                              ": plain HTTP is served on loopback only; give --tls-cert, --tls-key, "
                                              "--tls-ca and --client-uri, or listen on 127.0.0.1");
      }
      addresses_.push_back(std::move(address));
    }
    if (!options_.metrics_listen.empty()) {
      BULKHEAD_ASSIGN(admin_address_, gateway::ParseListenAddress(options_.metrics_listen));
    }
    if (options_.gateway.tls) {
      certificate_ = std::make_unique<Certificate>(options_.tls, options_.client_uris);
      return certificate_->Refresh();
    }
    BULKHEAD_ASSIGN(gateway::BearerToken token, gateway::BearerToken::Load(options_.token_file));
    token_ = std::make_unique<gateway::BearerToken>(std::move(token));
    secrets_.push_back({"gateway/token", token_->Copy()});
    return OkStatus();
  }

  Status Run() {
    BULKHEAD_TRY(MakePlugins());
    BULKHEAD_TRY(MakeServices());
    BULKHEAD_TRY(MakeHosts());
    MakeGateway();
    BULKHEAD_TRY(Listen());
    WatchFiles();
    bool drained = false;
    {
      const SignalWatch signals([this] { stopper_.Stop(std::nullopt); }, [this] { watch_->Poke(); });
      StartPlugins();
      stopper_.Wait();
      drained = Drain();
    }
    End();
    if (const auto error = stopper_.error()) return *error;
    return audit_->AppendSync(StopRecord(drained));
  }

 private:
  Status MakePlugins() {
    const sandbox::KernelFeatures features = sandbox::ProbeKernel();
    BULKHEAD_ASSIGN(launcher_, sandbox::Launcher::Create(features, {}));
    tiers_ = sandbox::TryTiers(features, *launcher_);
    const agent::WorkflowRef identity = {"gateway", "local", ""};
    for (agent::PluginManifest& manifest : plugins_) {
      BULKHEAD_ASSIGN(Prepared prepared, Prepare(manifest, options_.tier, options_.rootfs, tiers_, identity, secrets_));
      KeepOwnToken(prepared.config);
      for (const std::string& notice : prepared.config.notices)
        PrintError("notice: " + manifest.name + ": " + EscapeForTerminal(notice));
      prepared_.push_back(std::move(prepared));
    }
    return OkStatus();
  }

  // In a pod the place where plugins look for their token is a read-only mount that holds ours; without a mount
  // namespace of its own a plugin cannot be shown another there, and must not see this one.
  static void KeepOwnToken(agent::PluginConfig& config) {
    struct stat info = {};
    if (config.spec.tier != sandbox::Tier::kRestricted || ::lstat(kTokenOfPods, &info) != 0 || S_ISLNK(info.st_mode))
      return;
    config.spec.token.clear();
    config.notices.emplace_back(
        "gets no token: " + std::string(kTokenOfPods) +
        " is the gateway's own, and tier restricted cannot show the plugin another file there; a plugin that insists "
        "on a token needs tier strict");
  }

  Status MakeServices() {
    BULKHEAD_ASSIGN(redactor_, redact::Redactor::Create(std::move(secrets_)));
    BULKHEAD_ASSIGN(const std::string uri, certs::AgentUri(kTrustDomain, "local", "gateway"));
    BULKHEAD_ASSIGN(issuer_, certs::Issuer::Create(kTrustDomain, uri, kGatewayCertificateLifetime, clock_));
    BULKHEAD_ASSIGN(audit_, audit::AuditLog::Open(options_.audit, clock_));
    return audit_->AppendSync(StartRecord(options_.tier, *policies_->Get(), tiers_));
  }

  Status MakeHosts() {
    services_.launcher = launcher_.get();
    services_.issuer = issuer_.get();
    services_.redactor = redactor_;
    services_.audit = audit_.get();
    services_.metrics = &metrics_;
    services_.log = &log_;
    services_.on_audit_failure = [this](const Error& error) { stopper_.Stop(error); };
    agent::HostOptions host_options;
    host_options.start_timeout = options_.start_timeout;
    host_options.client.max_idle_connections = options_.workers;
    host_options.log_output = options_.verbose;
    host_options.try_again_after = kTryStartAgainAfter;
    for (Prepared& plugin : prepared_) {
      BULKHEAD_TRY(TellRefusal(plugin, *audit_, metrics_));
      hosts_.push_back(std::make_unique<agent::PluginHost>(std::move(plugin.config), services_, host_options,
                                                           std::move(plugin.refusal)));
      hosted_.push_back(std::make_unique<gateway::HostedPlugin>(*hosts_.back(), options_.workers));
      asked_.push_back(hosted_.back().get());
    }
    return OkStatus();
  }

  void MakeGateway() {
    decider_ = std::make_unique<gateway::PolicyDecider>(*policies_, redactor_);
    gateway::Services services;
    services.plugins = asked_;
    services.decider = decider_.get();
    services.redactor = redactor_.get();
    services.metrics = &metrics_;
    services.memory = &memory_;
    gateway_ = std::make_unique<gateway::Gateway>(options_.gateway, std::move(services), *audit_, token_.get(), log_,
                                                  [this](const Error& error) { stopper_.Stop(error); });
    gateway::AdminFacts facts;
    facts.starting = "plugins are being started";
    facts.plugins = [this] {
      std::vector<gateway::PluginState> states;
      for (const gateway::Plugin* plugin : asked_) states.push_back({plugin->name(), plugin->tier(), plugin->Health()});
      return states;
    };
    admin_ = std::make_unique<gateway::Admin>(readiness_, std::move(facts), *policies_, *audit_, *redactor_, metrics_);
    agent::ExposePolicyReload(metrics_);
  }

  Status Listen() {
    std::vector<UniqueFd> listeners;
    for (gateway::ListenAddress& address : addresses_) {
      BULKHEAD_ASSIGN(UniqueFd fd, gateway::Listen(address));
      listeners.push_back(std::move(fd));
    }
    gateway::ServerOptions server;
    server.name = "rpc";
    server.limits.requests =
        std::min(kMostThreads, 16 + gateway::HostedPlugin::Threads(options_.workers) * hosts_.size());
    server.limits.connections = std::max<size_t>(256, 2 * server.limits.requests);
    if (certificate_ != nullptr) server.tls = [this] { return certificate_->Get(); };
    BULKHEAD_ASSIGN(server_, gateway::HttpServer::Start(std::move(listeners), std::move(server), *gateway_, metrics_));
    for (const gateway::ListenAddress& address : addresses_)
      Print("plugin RPC on " + std::string(certificate_ != nullptr ? "https://" : "http://") + address.ToString() +
            "\n");
    if (options_.metrics_listen.empty()) return OkStatus();

    BULKHEAD_ASSIGN(admin_server_, gateway::StartAdmin(admin_address_, *admin_, metrics_));
    Print("/healthz, /readyz and /metrics on http://" + admin_address_.ToString() + "\n");
    return OkStatus();
  }

  // All at once: each may take a moment. One that cannot be started is told by its calls and by /readyz.
  void StartPlugins() {
    std::vector<std::thread> starts;
    starts.reserve(hosts_.size());
    for (const auto& host : hosts_) {
      starts.emplace_back([this, plugin = host.get()] {
        if (const Status started = plugin->Start(); !started.ok())
          log_.Log(LogLevel::kWarn, "plugin not started",
                   {{"plugin", plugin->name()}, {"reason", redactor_->Redact(started.error().message())}});
      });
    }
    for (std::thread& start : starts) start.join();
    gateway_->Open();
    readiness_.started = true;
    Print("ready\n");
  }

  // --- files that change ----------------------------------------------------------------------------

  void WatchFiles() {
    std::vector<gateway::WatchedFiles> watched;
    if (!options_.policies.empty())
      watched.push_back({options_.policies, [this] { agent::ReloadPolicies(*policies_, services_); }});
    if (token_ != nullptr) watched.push_back({{options_.token_file}, [this] { Reloaded("token", token_->Refresh()); }});
    if (certificate_ != nullptr) {
      watched.push_back({{options_.tls.certificate, options_.tls.key, options_.tls.authorities},
                         [this] { Reloaded("certificate", certificate_->Refresh()); }});
    }
    watch_ = std::make_unique<gateway::FileWatch>(std::move(watched), kLookAtPoliciesEvery, [this] {
      gateway_->RecordRefusedCallers();
      for (const auto& host : hosts_) host->RenewCertificates();
    });
  }

  void Reloaded(std::string_view what, const Status& status) { agent::TellReload(what, status, services_); }

  // --- the end --------------------------------------------------------------------------------------

  // Answers what is under way.
  bool Drain() {
    readiness_.draining = true;
    const bool drained = server_->Drain(std::chrono::steady_clock::now() + options_.drain_timeout);
    if (!drained) log_.Log(LogLevel::kWarn, "calls were still under way when the time to drain was over");
    return drained;
  }

  static audit::Record StopRecord(bool drained) {
    Value fields = Value::Object();
    fields.Set("reason", Value::String(drained ? "done" : "interrupted"));
    return {audit::Event::kAgentStop, std::move(fields)};
  }

  // Calls that still wait for a plugin return when it is stopped; only then the server's threads can end.
  void End() {
    watch_.reset();
    std::vector<std::thread> stops;
    stops.reserve(hosts_.size());
    for (const auto& host : hosts_) stops.emplace_back([plugin = host.get()] { plugin->Stop(); });
    for (std::thread& stop : stops) stop.join();
    server_.reset();
    admin_server_.reset();
  }

  const ServeOptions& options_;
  Clock clock_;
  Logger log_;
  Metrics metrics_;
  Stopper stopper_;
  gateway::Readiness readiness_;
  gateway::StateMemory memory_;

  std::vector<agent::PluginManifest> plugins_;
  std::vector<redact::NamedSecret> secrets_;
  // No HTTP template is executed here; but where one file has both kinds, half of it must not come into force.
  http::EgressHolder egress_;
  std::unique_ptr<policy::Holder> policies_;
  std::vector<gateway::ListenAddress> addresses_;
  gateway::ListenAddress admin_address_;
  std::unique_ptr<gateway::BearerToken> token_;
  std::unique_ptr<Certificate> certificate_;

  sandbox::TierReport tiers_;
  std::vector<Prepared> prepared_;
  std::shared_ptr<const redact::Redactor> redactor_;
  std::unique_ptr<certs::Issuer> issuer_;
  std::unique_ptr<sandbox::Launcher> launcher_;

  agent::HostServices services_;
  // Each is used by what stands below it.
  std::vector<std::unique_ptr<agent::PluginHost>> hosts_;
  std::vector<std::unique_ptr<gateway::HostedPlugin>> hosted_;
  std::vector<gateway::Plugin*> asked_;
  std::unique_ptr<gateway::PolicyDecider> decider_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::unique_ptr<gateway::Admin> admin_;
  // Below what its last records call back into.
  std::unique_ptr<audit::AuditLog> audit_;
  std::unique_ptr<gateway::HttpServer> server_;
  std::unique_ptr<gateway::HttpServer> admin_server_;
  std::unique_ptr<gateway::FileWatch> watch_;
};

}  // namespace

Status Serve(const ServeOptions& options) {
  certs::InitTlsLibrary();
  ServeSession session(options);
  BULKHEAD_TRY(session.Read());
  // Before any thread is made, so that all of them leave the signals to the watch.
  BlockSignals();
  return session.Run();
}

}  // namespace bulkhead::cli

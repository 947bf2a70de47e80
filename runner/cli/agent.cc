// bulkhead agent init, bulkhead agent main: where Argo's agent containers stand.
#include <cstdlib>
#include <memory>

#include "runner/agent/token_files.h"
#include "runner/base/text.h"
#include "runner/cli/agent_session.h"
#include "runner/cli/command.h"
#include "runner/cli/options.h"
#include "runner/cli/prepare.h"
#include "runner/source/argo_environment.h"

namespace bulkhead::cli {

namespace {

// Argo's own flags, on both verbs (workflow/controller/agent.go).
struct ArgoFlags {
  std::string level = "info";
  std::string format = "text";
  int gloglevel = 0;
};

struct MainFlags {
  AgentSettings settings;
  ArgoFlags argo;
  std::string tier = "auto";
  std::string in_flight = "repeat";
  std::string drain = "15s";
  std::string start_timeout = "20s";
  std::vector<std::string> rootfs;
};

void AddArgoFlags(const Verb& verb, ArgoFlags& flags) {
  verb.AddOption("--loglevel", flags.level, "The least important log lines to write")
      .OneOf({"debug", "info", "warn", "error"})
      .ShowDefault()
      .ValueName("LEVEL");
  verb.AddOption("--log-format", flags.format, "text or json")
      .OneOf({"text", "json"})
      .ShowDefault()
      .ValueName("FORMAT");
  verb.AddOption("--gloglevel", flags.gloglevel, "Taken because Argo gives it; of no effect").ValueName("N");
}

LogLevel LevelOf(const std::string& level) {
  if (level == "debug") return LogLevel::kDebug;
  if (level == "warn") return LogLevel::kWarn;
  return level == "error" ? LogLevel::kError : LogLevel::kInfo;
}

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Unlike other durations it may be zero: nothing is waited for.
Result<std::chrono::nanoseconds> DrainOption(const std::string& text) {
  const auto duration = ParseGoDuration(text);
  if (!duration.has_value() || duration->count() < 0)
    return Error(Code::kInvalidInput, "--drain " + text + ": must be a duration such as 15s or 1m30s");
  return *duration;
}

Status Complete(MainFlags& flags) {
  AgentSettings& settings = flags.settings;
  settings.tier = TierOption(flags.tier);
  settings.repeat_in_flight = flags.in_flight == "repeat";
  settings.log_level = LevelOf(flags.argo.level);
  settings.log_format = flags.argo.format == "json" ? LogFormat::kJson : LogFormat::kText;
  BULKHEAD_ASSIGN(settings.drain, DrainOption(flags.drain));
  BULKHEAD_ASSIGN(settings.start_timeout, PositiveDuration(flags.start_timeout, "--plugin-start-timeout"));
  BULKHEAD_ASSIGN(settings.rootfs, ReadRootFolders(flags.rootfs));
  if (settings.all != settings.workflow.empty()) {
    return Error(Code::kInvalidInput, settings.all ? "--all and --workflow (ARGO_WORKFLOW_NAME) exclude each other"
                                                   : "which task sets? Give --workflow (Argo sets ARGO_WORKFLOW_NAME), "
                                                     "or --all for those of the whole namespace");
  }
  if (settings.all && settings.workflow_plugins)
    return Error(Code::kInvalidInput, "--workflow-plugins is for the agent of one workflow");
  settings.sidecars.names = Environment("ARGO_PLUGIN_NAMES");
  settings.sidecars.addresses = Environment("ARGO_PLUGIN_ADDRESSES");
  settings.workflow_uid = settings.all ? "" : Environment("ARGO_WORKFLOW_UID");
  return OkStatus();
}

int Main(MainFlags& flags) {
  if (const Status status = Complete(flags); !status.ok()) return Fail(status.error());
  const Status ran = RunAgentMain(flags.settings);
  return ran.ok() ? kExitOk : Fail(ran.error());
}

int Init(const std::string& folder) {
  auto names = source::ReadPluginNames(Environment("ARGO_PLUGIN_NAMES"));
  if (!names.ok()) return Fail(names.error());
  const Status made = agent::MakeTokenFiles(folder, *names);
  return made.ok() ? kExitOk : Fail(made.error());
}

void AddInit(const Verb& agent, Action& action) {
  const Verb verb = agent.AddVerb("init", "Make a token for each plugin container of the agent's pod");
  const auto folder = std::make_shared<std::string>("/var/run/argo");
  const auto argo = std::make_shared<ArgoFlags>();
  AddArgoFlags(verb, *argo);
  verb.AddOption("--tokens", *folder, "The folder that the pod's containers share").ShowDefault().ValueName("DIR");
  verb.Footer("The containers' names come from ARGO_PLUGIN_NAMES, a JSON list that Argo's controller sets.");
  verb.OnGiven([&action, folder, argo] { action = [folder] { return Init(*folder); }; });
}

void AddClusterOptions(const Verb& verb, AgentSettings& settings) {
  verb.AddOption("--kubeconfig", settings.kubeconfig, "How to reach the cluster, outside of one")
      .Environment("KUBECONFIG")
      .ValueName("FILE");
  verb.AddOption("--context", settings.context, "A context of the kubeconfig other than its current one");
  verb.AddOption("--namespace", settings.name_space, "Default: the pod's or the context's").ValueName("NAME");
  verb.AddOption("--workflow", settings.workflow, "Serve this workflow's task set, and end with it")
      .Environment("ARGO_WORKFLOW_NAME")
      .ValueName("NAME");
  verb.AddFlag("--all", settings.all, "Serve every task set of the namespace (Argo's disableAgentPodCreation)")
      .Environment("BULKHEAD_ALL");
  verb.AddOption("--instance-id", settings.instance_id, "With --all: those of this controller instance only")
      .Environment("BULKHEAD_INSTANCE_ID")
      .ValueName("ID");
  verb.AddOption("--lease", settings.lease, "A Lease that one of several agents holds; the others stand by")
      .Environment("BULKHEAD_LEASE")
      .ValueName("NAME");
}

void AddPluginOptions(const Verb& verb, MainFlags& flags) {
  AgentSettings& settings = flags.settings;
  verb.AddOption("--plugins", settings.plugins, "ExecutorPlugin manifests to launch here: files or folders")
      .Environment("BULKHEAD_PLUGINS")
      .ValueName("PATH...");
  verb.AddOption("--plugin-configmap", settings.plugin_config_maps,
                 "ConfigMaps of `argo executor-plugin build` to launch here, by name")
      .Environment("BULKHEAD_PLUGIN_CONFIGMAPS")
      .ValueName("NAME...");
  verb.AddFlag("--workflow-plugins", settings.workflow_plugins,
               "Launch the workflow's own spec.executorPlugins; when it has some, only those")
      .Environment("BULKHEAD_WORKFLOW_PLUGINS");
  verb.AddOption("--tokens", settings.sidecars.token_folder, "Where `agent init` put the tokens of Argo's sidecars")
      .ShowDefault()
      .ValueName("DIR");
  verb.AddOption("--remote-plugin", settings.remote_plugins,
                 "A plugin that runs elsewhere, called over mutual TLS. Its certificate's URI is the one given, or "
                 "spiffe://bulkhead.local/ns/NAMESPACE/plugin/NAME")
      .Environment("BULKHEAD_REMOTE_PLUGINS")
      .ValueName("NAME=https://HOST:PORT[,URI]...");
  verb.AddOption("--tls-cert", settings.tls.certificate,
                 "Who we are to remote plugins: our certificate and its chain (PEM). Read again when it changes")
      .Environment("BULKHEAD_TLS_CERT")
      .ValueName("FILE");
  verb.AddOption("--tls-key", settings.tls.key, "Its private key (PEM)")
      .Environment("BULKHEAD_TLS_KEY")
      .ValueName("FILE");
  verb.AddOption("--tls-ca", settings.tls.authorities, "The authorities of remote plugins' certificates (PEM)")
      .Environment("BULKHEAD_TLS_CA")
      .ValueName("FILE");
  AddTier(verb, flags.tier).Environment("BULKHEAD_TIER");
  AddRootfs(verb, flags.rootfs).Environment("BULKHEAD_ROOTFS");
  AddStartTimeout(verb, flags.start_timeout);
  AddWorkers(verb, settings.workers, "Tasks at once for each plugin").Environment("ARGO_AGENT_TASK_WORKERS");
}

void AddMain(const Verb& agent, Action& action) {
  const Verb verb = agent.AddVerb("main", "Execute the tasks of WorkflowTaskSets");
  const auto flags = std::make_shared<MainFlags>();
  AgentSettings& settings = flags->settings;
  AddClusterOptions(verb, settings);
  AddPluginOptions(verb, *flags);
  verb.AddOption("--policy", settings.policies,
                 "Policies that say what plugins may change: files or folders. Without one every reply is refused. "
                 "Read again when they change, and at SIGHUP")
      .Environment("BULKHEAD_POLICY")
      .ValueName("PATH...");
  AddAuditLog(verb, settings.audit).Environment("BULKHEAD_AUDIT");
  verb.AddOption("--journal", settings.journal, "The folder that remembers results when the agent is killed")
      .Environment("BULKHEAD_JOURNAL")
      .ShowDefault()
      .ValueName("DIR");
  verb.AddOption("--in-flight", flags->in_flight,
                 "What becomes of a call that was in flight when the agent was killed: repeat it, with the same "
                 "Idempotency-Key, or fail its task")
      .OneOf({"repeat", "fail"})
      .Environment("BULKHEAD_IN_FLIGHT")
      .ShowDefault()
      .ValueName("repeat|fail");
  AddSecretFiles(verb, settings.secret_files).Environment("BULKHEAD_SECRET_FILES");
  verb.AddOption("--drain", flags->drain, "After SIGTERM, how long calls in flight may go on")
      .Environment("BULKHEAD_DRAIN")
      .ShowDefault()
      .ValueName("DURATION");
  verb.AddOption("--metrics-listen", settings.metrics_listen,
                 "Where /healthz, /readyz and /metrics are served, without a token: 127.0.0.1:PORT, or :PORT for the "
                 "pod's probes")
      .Environment("BULKHEAD_METRICS_LISTEN")
      .ValueName("ADDRESS");
  verb.AddOption("--metrics", settings.metrics, "Write counters here at the end (Prometheus text format)")
      .ValueName("FILE");
  AddArgoFlags(verb, flags->argo);
  verb.Footer(
      "Argo gives `agent main` fixed arguments, so every option that a pod needs can be set by the environment.\n\n"
      "SIGHUP reads policies again; a wrong file leaves the old one in force (/readyz tells).\n\n"
      "Exit codes: 0 the workflow is done, or a signal ended the agent in order; 1 the agent cannot go on (its\n"
      "container is to be restarted); 2 usage or configuration.");
  verb.OnGiven([&action, flags] { action = [flags] { return Main(*flags); }; });
}

}  // namespace

void AddAgent(const Verb& app, Action& action) {
  const Verb agent = app.AddVerb(
      "agent", "Stand where Argo's agent stands: also when this program is called argoexec, with Argo's own flags");
  agent.NeedsVerb();
  AddInit(agent, action);
  AddMain(agent, action);
}

}  // namespace bulkhead::cli

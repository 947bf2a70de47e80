// bulkhead agent init, bulkhead agent main: where Argo's agent containers stand.
#include <cstdlib>
#include <memory>

#include "runner/agent/token_files.h"
#include "runner/base/text.h"
#include "runner/cli/agent_session.h"
#include "runner/cli/command.h"
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

void AddArgoFlags(CLI::App& verb, ArgoFlags& flags) {
  verb.add_option("--loglevel", flags.level, "The least important log lines to write")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str()
      ->option_text("LEVEL");
  verb.add_option("--log-format", flags.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str()
      ->option_text("FORMAT");
  verb.add_option("--gloglevel", flags.gloglevel, "Taken because Argo gives it; of no effect")->option_text("N");
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

Status ParseDuration(const std::string& text, std::string_view flag, std::chrono::nanoseconds& duration) {
  const auto parsed = ParseGoDuration(text);
  if (!parsed.has_value() || parsed->count() < 0)
    return Error(Code::kInvalidInput, std::string(flag) + " " + text + ": must be a duration such as 15s or 1m30s");
  duration = *parsed;
  return OkStatus();
}

Status Complete(MainFlags& flags) {
  AgentSettings& settings = flags.settings;
  if (flags.tier == "strict") settings.tier = sandbox::Tier::kStrict;
  if (flags.tier == "restricted") settings.tier = sandbox::Tier::kRestricted;
  settings.repeat_in_flight = flags.in_flight == "repeat";
  settings.log_level = LevelOf(flags.argo.level);
  settings.log_format = flags.argo.format == "json" ? LogFormat::kJson : LogFormat::kText;
  BULKHEAD_TRY(ParseDuration(flags.drain, "--drain", settings.drain));
  BULKHEAD_TRY(ParseDuration(flags.start_timeout, "--plugin-start-timeout", settings.start_timeout));
  for (const std::string& pair : flags.rootfs) {
    const size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 >= pair.size() || pair[equals + 1] != '/')
      return Error(Code::kInvalidInput, "--rootfs " + pair + ": write PLUGIN=/absolute/folder");
    settings.rootfs[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
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

void AddInit(CLI::App& agent, Action& action) {
  CLI::App* const verb = agent.add_subcommand("init", "Make a token for each plugin container of the agent's pod");
  const auto folder = std::make_shared<std::string>("/var/run/argo");
  const auto argo = std::make_shared<ArgoFlags>();
  AddArgoFlags(*verb, *argo);
  verb->add_option("--tokens", *folder, "The folder that the pod's containers share")
      ->capture_default_str()
      ->option_text("DIR");
  verb->footer("The containers' names come from ARGO_PLUGIN_NAMES, a JSON list that Argo's controller sets.");
  verb->callback([&action, folder, argo] { action = [folder] { return Init(*folder); }; });
}

void AddClusterOptions(CLI::App& verb, AgentSettings& settings) {
  verb.add_option("--kubeconfig", settings.kubeconfig, "How to reach the cluster, outside of one")
      ->envname("KUBECONFIG")
      ->option_text("FILE");
  verb.add_option("--context", settings.context, "A context of the kubeconfig other than its current one");
  verb.add_option("--namespace", settings.name_space, "Default: the pod's or the context's")->option_text("NAME");
  verb.add_option("--workflow", settings.workflow, "Serve this workflow's task set, and end with it")
      ->envname("ARGO_WORKFLOW_NAME")
      ->option_text("NAME");
  verb.add_flag("--all", settings.all, "Serve every task set of the namespace (Argo's disableAgentPodCreation)")
      ->envname("BULKHEAD_ALL");
  verb.add_option("--instance-id", settings.instance_id, "With --all: those of this controller instance only")
      ->envname("BULKHEAD_INSTANCE_ID")
      ->option_text("ID");
  verb.add_option("--lease", settings.lease, "A Lease that one of several agents holds; the others stand by")
      ->envname("BULKHEAD_LEASE")
      ->option_text("NAME");
}

void AddPluginOptions(CLI::App& verb, MainFlags& flags) {
  AgentSettings& settings = flags.settings;
  verb.add_option("--plugins", settings.plugins, "ExecutorPlugin manifests to launch here: files or folders")
      ->envname("BULKHEAD_PLUGINS")
      ->option_text("PATH...");
  verb.add_option("--plugin-configmap", settings.plugin_config_maps,
                  "ConfigMaps of `argo executor-plugin build` to launch here, by name")
      ->envname("BULKHEAD_PLUGIN_CONFIGMAPS")
      ->option_text("NAME...");
  verb.add_flag("--workflow-plugins", settings.workflow_plugins,
                "Launch the workflow's own spec.executorPlugins; when it has some, only those")
      ->envname("BULKHEAD_WORKFLOW_PLUGINS");
  verb.add_option("--tokens", settings.sidecars.token_folder, "Where `agent init` put the tokens of Argo's sidecars")
      ->capture_default_str()
      ->option_text("DIR");
  verb.add_option("--remote-plugin", settings.remote_plugins,
                  "A plugin that runs elsewhere, called over mutual TLS. Its certificate's URI is the one given, or "
                  "spiffe://bulkhead.local/ns/NAMESPACE/plugin/NAME")
      ->envname("BULKHEAD_REMOTE_PLUGINS")
      ->option_text("NAME=https://HOST:PORT[,URI]...");
  verb.add_option("--tls-cert", settings.tls.certificate,
                  "Who we are to remote plugins: our certificate and its chain (PEM). Read again when it changes")
      ->envname("BULKHEAD_TLS_CERT")
      ->option_text("FILE");
  verb.add_option("--tls-key", settings.tls.key, "Its private key (PEM)")
      ->envname("BULKHEAD_TLS_KEY")
      ->option_text("FILE");
  verb.add_option("--tls-ca", settings.tls.authorities, "The authorities of remote plugins' certificates (PEM)")
      ->envname("BULKHEAD_TLS_CA")
      ->option_text("FILE");
  verb.add_option("--tier", flags.tier, "strict, restricted, or auto: the best there is here")
      ->check(CLI::IsMember({"strict", "restricted", "auto"}))
      ->envname("BULKHEAD_TIER")
      ->capture_default_str()
      ->option_text("TIER");
  verb.add_option("--rootfs", flags.rootfs, "A folder (an image volume, say) to be a plugin's read-only root")
      ->envname("BULKHEAD_ROOTFS")
      ->option_text("PLUGIN=DIR");
  verb.add_option("--plugin-start-timeout", flags.start_timeout, "The most a plugin may take until it listens")
      ->capture_default_str()
      ->option_text("DURATION");
  verb.add_option("--workers", settings.workers, "Tasks at once for each plugin")
      ->check(CLI::Range(1, 256))
      ->envname("ARGO_AGENT_TASK_WORKERS")
      ->capture_default_str()
      ->option_text("N");
}

void AddMain(CLI::App& agent, Action& action) {
  CLI::App* const verb = agent.add_subcommand("main", "Execute the tasks of WorkflowTaskSets");
  const auto flags = std::make_shared<MainFlags>();
  AgentSettings& settings = flags->settings;
  AddClusterOptions(*verb, settings);
  AddPluginOptions(*verb, *flags);
  verb->add_option("--policy", settings.policies,
                   "Policies that say what plugins may change: files or folders. Without one every reply is refused. "
                   "Read again when they change, and at SIGHUP")
      ->envname("BULKHEAD_POLICY")
      ->option_text("PATH...");
  verb->add_option("--audit", settings.audit, "The audit log; continued if it is there and verifies")
      ->envname("BULKHEAD_AUDIT")
      ->capture_default_str()
      ->option_text("FILE");
  verb->add_option("--journal", settings.journal, "The folder that remembers results when the agent is killed")
      ->envname("BULKHEAD_JOURNAL")
      ->capture_default_str()
      ->option_text("DIR");
  verb->add_option("--in-flight", flags->in_flight,
                   "What becomes of a call that was in flight when the agent was killed: repeat it, with the same "
                   "Idempotency-Key, or fail its task")
      ->check(CLI::IsMember({"repeat", "fail"}))
      ->envname("BULKHEAD_IN_FLIGHT")
      ->capture_default_str()
      ->option_text("repeat|fail");
  verb->add_option("--secret-file", settings.secret_files, "A file whose content is masked wherever it would appear")
      ->envname("BULKHEAD_SECRET_FILES")
      ->option_text("FILE...");
  verb->add_option("--drain", flags->drain, "After SIGTERM, how long calls in flight may go on")
      ->envname("BULKHEAD_DRAIN")
      ->capture_default_str()
      ->option_text("DURATION");
  verb->add_option("--metrics-listen", settings.metrics_listen,
                   "Where /healthz, /readyz and /metrics are served, without a token: 127.0.0.1:PORT, or :PORT for "
                   "the pod's probes")
      ->envname("BULKHEAD_METRICS_LISTEN")
      ->option_text("ADDRESS");
  verb->add_option("--metrics", settings.metrics, "Write counters here at the end (Prometheus text format)")
      ->option_text("FILE");
  AddArgoFlags(*verb, flags->argo);
  verb->footer(
      "Argo gives `agent main` fixed arguments, so every option that a pod needs can be set by the environment.\n\n"
      "SIGHUP reads policies again; a wrong file leaves the old one in force (/readyz tells).\n\n"
      "Exit codes: 0 the workflow is done, or a signal ended the agent in order; 1 the agent cannot go on (its\n"
      "container is to be restarted); 2 usage or configuration.");
  verb->callback([&action, flags] { action = [flags] { return Main(*flags); }; });
}

}  // namespace

void AddAgent(CLI::App& app, Action& action) {
  CLI::App* const agent = app.add_subcommand(
      "agent", "Stand where Argo's agent stands: also when this program is called argoexec, with Argo's own flags");
  agent->require_subcommand(1);
  AddInit(*agent, action);
  AddMain(*agent, action);
}

}  // namespace bulkhead::cli

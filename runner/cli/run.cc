// bulkhead run: the embedded default, no cluster needed.
#include <memory>

#include "runner/cli/command.h"
#include "runner/cli/options.h"
#include "runner/cli/prepare.h"
#include "runner/cli/session.h"

namespace bulkhead::cli {

namespace {

// "NAME=DIR" pairs and durations come as text, so that the errors can say what to write.
struct RunFlags {
  SessionOptions session;
  std::string tier = "auto";
  std::string timeout;
  std::string start_timeout = "20s";
  std::vector<std::string> rootfs;
  Format format = Format::kTable;
};

Status Complete(RunFlags& flags) {
  flags.session.tier = TierOption(flags.tier);
  if (!flags.timeout.empty()) {
    BULKHEAD_ASSIGN(flags.session.timeout, PositiveDuration(flags.timeout, "--timeout"));
  }
  BULKHEAD_ASSIGN(flags.session.start_timeout, PositiveDuration(flags.start_timeout, "--plugin-start-timeout"));
  BULKHEAD_ASSIGN(flags.session.rootfs, ReadRootFolders(flags.rootfs));
  return OkStatus();
}

int Run(RunFlags& flags) {
  if (const Status status = Complete(flags); !status.ok()) return Fail(status.error());
  auto report = RunSession(flags.session);
  if (!report.ok()) return Fail(report.error());
  if (flags.format == Format::kTable) {
    PrintSummary(*report);
  } else {
    PrintDocument(report->status, flags.format);
  }
  if (report->outcome.audit_failure.has_value()) return Fail(*report->outcome.audit_failure);
  return report->AllSucceeded() ? kExitOk : kExitFailed;
}

}  // namespace

void AddRun(const Verb& app, Action& action) {
  const Verb verb = app.AddVerb(
      "run", "Run the plugin and HTTP tasks of WorkflowTaskSets or simple Workflows here, without a cluster");
  const auto flags = std::make_shared<RunFlags>();
  SessionOptions& session = flags->session;
  verb.AddOption("FILE", session.inputs,
                 "WorkflowTaskSet or Workflow manifests (YAML or JSON, several documents), folders of them, or -")
      .Required();
  verb.AddOption(
          "--plugins", session.plugins,
          "ExecutorPlugin manifests or their ConfigMaps, and the Secrets that they and HTTP templates name: files "
          "or folders. Not needed for HTTP templates alone")
      .ValueName("PATH...");
  verb.AddOption("--policy", session.policies,
                 "Policies that say what plugins may change and where HTTP templates may go: files or folders. Without "
                 "one everything is refused")
      .ValueName("PATH...");
  AddAuditLog(verb, session.audit);
  AddTier(verb, flags->tier);
  AddRootfs(verb, flags->rootfs);
  AddSecretFiles(verb, session.secret_files);
  verb.AddOption("--timeout", flags->timeout, "The most the whole run may take, e.g. 5m").ValueName("DURATION");
  AddStartTimeout(verb, flags->start_timeout);
  AddWorkers(verb, session.workers, "Tasks at once for each plugin");
  verb.AddOption("--metrics", session.metrics, "Write counters here at the end (Prometheus text format)")
      .ValueName("FILE");
  AddVerbose(verb, session.verbose);
  AddOutput(verb, flags->format);
  verb.Footer(
      "Example:\n"
      "  bulkhead run deploy/examples/taskset.yaml --plugins deploy/examples/plugins \\\n"
      "    --policy deploy/examples/policy.yaml --audit audit.jsonl\n\n"
      "Exit codes: 0 every task succeeded; 1 a task failed, errored or was refused; 2 usage or input.");
  verb.OnGiven([&action, flags] { action = [flags] { return Run(*flags); }; });
}

}  // namespace bulkhead::cli

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

void AddRun(CLI::App& app, Action& action) {
  CLI::App* const verb = app.add_subcommand(
      "run", "Run the plugin and HTTP tasks of WorkflowTaskSets or simple Workflows here, without a cluster");
  const auto flags = std::make_shared<RunFlags>();
  SessionOptions& session = flags->session;
  verb->add_option("FILE", session.inputs,
                   "WorkflowTaskSet or Workflow manifests (YAML or JSON, several documents), folders of them, or -")
      ->required();
  verb->add_option(
          "--plugins", session.plugins,
          "ExecutorPlugin manifests or their ConfigMaps, and the Secrets that they and HTTP templates name: files "
          "or folders. Not needed for HTTP templates alone")
      ->option_text("PATH...");
  verb->add_option(
          "--policy", session.policies,
          "Policies that say what plugins may change and where HTTP templates may go: files or folders. Without "
          "one everything is refused")
      ->option_text("PATH...");
  verb->add_option("--audit", session.audit, "The audit log; continued if it is there and verifies")
      ->capture_default_str()
      ->option_text("FILE");
  verb->add_option("--tier", flags->tier,
                   "strict, restricted, or auto: the best there is here. Never a lower one than asked, nor under a "
                   "plugin's own minimum")
      ->check(CLI::IsMember({"strict", "restricted", "auto"}))
      ->capture_default_str()
      ->option_text("TIER");
  verb->add_option("--rootfs", flags->rootfs,
                   "A folder to be a plugin's read-only root instead of a view of the host's (tier strict)")
      ->option_text("PLUGIN=DIR");
  verb->add_option("--secret-file", session.secret_files,
                   "A file whose content is masked wherever it would appear, in its common encodings too")
      ->option_text("FILE...");
  verb->add_option("--timeout", flags->timeout, "The most the whole run may take, e.g. 5m")->option_text("DURATION");
  verb->add_option("--plugin-start-timeout", flags->start_timeout,
                   "The most a plugin may take until it listens on its port")
      ->capture_default_str()
      ->option_text("DURATION");
  verb->add_option("--workers", session.workers, "Tasks at once for each plugin")
      ->check(CLI::Range(1, 256))
      ->capture_default_str()
      ->option_text("N");
  verb->add_option("--metrics", session.metrics, "Write counters here at the end (Prometheus text format)")
      ->option_text("FILE");
  verb->add_flag("-v,--verbose", session.verbose, "Show what plugins print (masked) and how each compartment is made");
  AddOutput(*verb, flags->format);
  verb->footer(
      "Example:\n"
      "  bulkhead run deploy/examples/taskset.yaml --plugins deploy/examples/plugins \\\n"
      "    --policy deploy/examples/policy.yaml --audit audit.jsonl\n\n"
      "Exit codes: 0 every task succeeded; 1 a task failed, errored or was refused; 2 usage or input.");
  verb->callback([&action, flags] { action = [flags] { return Run(*flags); }; });
}

}  // namespace bulkhead::cli

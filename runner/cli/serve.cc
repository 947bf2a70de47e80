// bulkhead serve: the gateway, one ordinary executor plugin to Argo, many sandboxed ones behind it.
#include <memory>

#include "runner/cli/command.h"
#include "runner/cli/gateway_session.h"
#include "runner/cli/options.h"
#include "runner/cli/prepare.h"

namespace bulkhead::cli {

namespace {

struct ServeFlags {
  ServeOptions serve;
  std::string tier = "auto";
  std::string start_timeout = "20s";
  std::string drain_timeout = "20s";
  std::string hook_timeout = "900ms";
  std::vector<std::string> rootfs;
};

Status Complete(ServeFlags& flags) {
  ServeOptions& serve = flags.serve;
  serve.tier = TierOption(flags.tier);
  BULKHEAD_ASSIGN(serve.start_timeout, PositiveDuration(flags.start_timeout, "--plugin-start-timeout"));
  BULKHEAD_ASSIGN(serve.drain_timeout, PositiveDuration(flags.drain_timeout, "--drain-timeout"));
  BULKHEAD_ASSIGN(serve.gateway.hook_deadline, PositiveDuration(flags.hook_timeout, "--hook-timeout"));
  BULKHEAD_ASSIGN(serve.rootfs, ReadRootFolders(flags.rootfs));
  const size_t given =
      static_cast<size_t>(!serve.tls.certificate.empty()) + static_cast<size_t>(!serve.tls.key.empty()) +
      static_cast<size_t>(!serve.tls.authorities.empty()) + static_cast<size_t>(!serve.client_uris.empty());
  if (given != 0 && given != 4) {
    return Error(Code::kInvalidInput,
                 "mutual TLS needs all of --tls-cert, --tls-key, --tls-ca and --client-uri; without any of them "
                 "the gateway serves plain HTTP on loopback");
  }
  serve.gateway.tls = given == 4;
  if (serve.gateway.tls && serve.gateway.hooks_without_token)
    return Error(Code::kInvalidInput, "--hooks-without-token is for plain HTTP: over mutual TLS nobody needs a token");
  return OkStatus();
}

int Run(ServeFlags& flags) {
  if (const Status status = Complete(flags); !status.ok()) return Fail(status.error());
  if (const Status status = Serve(flags.serve); !status.ok()) return Fail(status.error());
  return kExitOk;
}

}  // namespace

void AddServe(const Verb& app, Action& action) {
  const Verb verb = app.AddVerb(
      "serve",
      "Answer Argo's plugin RPC, all six methods, for plugins in sandboxes: one plugin to Argo, many behind it");
  const auto flags = std::make_shared<ServeFlags>();
  ServeOptions& serve = flags->serve;
  serve.listen = {"127.0.0.1:4355"};
  serve.token_file = "/var/run/argo/token";
  serve.audit = "audit.jsonl";
  verb.AddOption("--plugins", serve.plugins, "ExecutorPlugin manifests or their ConfigMaps: files or folders")
      .Required()
      .ValueName("PATH...");
  verb.AddOption("--policy", serve.policies,
                 "Policies that say what plugins may change: files or folders. Without one every reply is refused. "
                 "Read again when they change, and at SIGHUP")
      .ValueName("PATH...");
  verb.AddOption("--listen", serve.listen,
                 "Where the plugin RPC is served: 127.0.0.1:PORT, [::1]:PORT; with mutual TLS anywhere, :PORT")
      .ShowDefault()
      .ValueName("ADDRESS...");
  verb.AddOption("--token-file", serve.token_file,
                 "The bearer token that callers in plain HTTP must send; read again when it changes")
      .ShowDefault()
      .ValueName("FILE");
  verb.AddOption("--tls-cert", serve.tls.certificate, "Mutual TLS: our certificate and its chain (PEM)")
      .ValueName("FILE");
  verb.AddOption("--tls-key", serve.tls.key, "Its private key (PEM)").ValueName("FILE");
  verb.AddOption("--tls-ca", serve.tls.authorities, "The authorities of clients' certificates (PEM)").ValueName("FILE");
  verb.AddOption("--client-uri", serve.client_uris,
                 "A URI that a client's certificate must have, such as spiffe://example.org/argo/controller")
      .ValueName("URI...");
  verb.AddFlag("--hooks-without-token", serve.gateway.hooks_without_token,
               "Answer the controller's hooks (all but template.execute) from loopback without a token: controllers "
               "with the plugins of 2021 send none. Whoever runs in the same pod may then ask, too");
  verb.AddOption("--hook-timeout", flags->hook_timeout, "The most a hook may take, all plugins together; Argo waits 1s")
      .ShowDefault()
      .ValueName("DURATION");
  verb.AddOption("--metrics-listen", serve.metrics_listen,
                 "Where /healthz, /readyz and /metrics are served, without a token")
      .ValueName("ADDRESS");
  AddAuditLog(verb, serve.audit);
  AddTier(verb, flags->tier);
  AddRootfs(verb, flags->rootfs);
  AddSecretFiles(verb, serve.secret_files);
  AddWorkers(verb, serve.workers, "Calls at once for each plugin; twice as many wait");
  AddStartTimeout(verb, flags->start_timeout);
  verb.AddOption("--drain-timeout", flags->drain_timeout,
                 "After SIGTERM: the most that calls under way may take to be answered")
      .ShowDefault()
      .ValueName("DURATION");
  AddVerbose(verb, serve.verbose);
  verb.Footer(
      "In a pod of Argo's agent, as the one ExecutorPlugin (deploy/gateway/plugin.yaml):\n"
      "  bulkhead serve --plugins /etc/bulkhead/plugins --policy /etc/bulkhead/policy\n"
      "Before a controller, over mutual TLS:\n"
      "  bulkhead serve --listen :4355 --tls-cert tls.crt --tls-key tls.key --tls-ca ca.crt \\\n"
      "    --client-uri spiffe://example.org/argo/controller --plugins DIR --policy DIR\n\n"
      "A plugin is asked for template.execute, unless its annotation bulkhead.dev/methods names other methods:\n"
      "workflow.preOperate, workflow.postOperate, node.preExecute, node.postExecute, parameters.add.\n\n"
      "SIGHUP reads policies, token and certificates again; a wrong file leaves the old one in force (/readyz tells).\n"
      "SIGTERM answers what is under way, and ends.\n\n"
      "Exit codes: 0 ended by a signal; 1 the audit log could not be written, or nothing could be started; 2 usage or\n"
      "input.");
  verb.OnGiven([&action, flags] { action = [flags] { return Run(*flags); }; });
}

}  // namespace bulkhead::cli

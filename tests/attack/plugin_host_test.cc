// A plugin whose certificates are replaced while it is called.
#include "runner/agent/plugin_host.h"

#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "harness.h"
#include "runner/base/io.h"

namespace bulkhead::sandbox {
namespace {

// In restricted it is a port of the host, where other tests run beside this one.
const auto kPort = static_cast<uint16_t>(19'500 + ::getpid() % 1000);
// A third of it is what a busy machine may take between a renewal and the handshake with it.
constexpr auto kLifetime = std::chrono::seconds(6);
constexpr int kCallers = 4;

// Each answer closes its connection, so that each call makes another.
constexpr char kPlugin[] = R"(
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Plugin(BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{}')
ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Plugin).serve_forever()
)";

TEST_F(AttackTest, CallsGoOnOverRenewalsOfShortLivedCertificates) {
  const Clock clock;
  auto dir = TempDir::Create("rotation-");
  ASSERT_TRUE(dir.ok());
  auto issuer = certs::Issuer::Create("here", "spiffe://here/ns/ns/wf/wf/agent", kLifetime, clock);
  auto audit = audit::AuditLog::Open(dir->path() + "/audit.jsonl", clock);
  ASSERT_TRUE(issuer.ok() && audit.ok());
  Metrics metrics;
  const Logger log(LogLevel::kError, LogFormat::kText);
  agent::HostServices services;
  services.launcher = launcher_.get();
  services.issuer = issuer->get();
  services.redactor = *redact::Redactor::Create({});
  services.audit = audit->get();
  services.metrics = &metrics;
  services.log = &log;
  services.on_audit_failure = [](const Error& error) { ADD_FAILURE() << error.message(); };
  agent::PluginConfig config;
  config.spec = Spec(Tier::kStrict, {});
  config.spec.argv = {"python3", "-c", kPlugin, std::to_string(kPort)};
  config.spec.ports = {kPort};
  config.spec.serve_port = kPort;
  config.uri = "spiffe://here/ns/ns/wf/wf/plugin/attacker";
  agent::HostOptions options;
  options.client.max_attempts = 1;  // a call that failed is not hidden
  agent::PluginHost host(std::move(config), services, options);
  const Status started = host.Start();
  ASSERT_TRUE(started.ok()) << started.error().message();

  std::mutex mutex;
  std::set<std::shared_ptr<const certs::Credentials>> used;  // guarded by mutex
  std::atomic<bool> enough{false};                           // the first ones are over
  std::atomic<int> calls{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      while (!enough) {
        const agent::HostCall call = host.Call("template.execute", "{}", SteadyTime::max());
        ASSERT_EQ(call.result.outcome, rpc::Outcome::kReply) << call.result.reason;
        ++calls;
        const std::lock_guard lock(mutex);
        used.insert(*(*issuer)->Current());
        if (used.size() == 3) enough = true;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(used.size(), 3U);
  EXPECT_GT(calls.load(), 20);
  // Nothing was started again for it. The third ones may not have been needed yet.
  EXPECT_GE(metrics.Get("bulkhead_certificates_renewed_total", MetricLabel("plugin", "attacker")), 1U);
  EXPECT_EQ(metrics.Get("bulkhead_plugin_restarts_total", MetricLabel("plugin", "attacker")), 0U);
  host.Stop();
}

}  // namespace
}  // namespace bulkhead::sandbox

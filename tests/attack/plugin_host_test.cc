// A plugin whose certificates are replaced while it is called.
#include "runner/agent/plugin_host.h"

#include <unistd.h>

#include <atomic>
#include <thread>

#include "harness.h"
#include "runner/base/io.h"

namespace bulkhead::sandbox {
namespace {

// In restricted it is a port of the host, where other tests run beside this one.
const auto kPort = static_cast<uint16_t>(19'500 + ::getpid() % 1000);
constexpr auto kLifetime = std::chrono::hours(2);
constexpr int kCallers = 4;
constexpr int kRenewals = 5;

// Set back by more than certificates tolerate, so that new ones have to be made, which are good for the real clock too.
class SteppedClock : public Clock {
 public:
  WallTime Wall() const override { return Clock::Wall() - std::chrono::minutes(10 * steps.load()); }
  std::atomic<int> steps{0};
};

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

class RotationTest : public InTier {};

INSTANTIATE_TEST_SUITE_P(Tiers, RotationTest, ::testing::Values(Tier::kStrict, Tier::kRestricted),
                         [](const auto& tier) { return std::string(TierName(tier.param)); });

TEST_P(RotationTest, CallsGoOnOverRenewalsOfCertificates) {
  SteppedClock clock;
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
  config.spec = Spec(GetParam(), {});
  config.spec.argv = {"python3", "-c", kPlugin, std::to_string(kPort)};
  config.spec.ports = {kPort};
  config.spec.serve_port = kPort;
  config.uri = "spiffe://here/ns/ns/wf/wf/plugin/attacker";
  agent::HostOptions options;
  options.client.max_attempts = 1;  // a call that failed is not hidden
  agent::PluginHost host(std::move(config), services, options);
  const Status started = host.Start();
  ASSERT_TRUE(started.ok()) << started.error().message();

  const auto renewed = [&] {
    return static_cast<int>(metrics.Get("bulkhead_certificates_renewed_total", MetricLabel("plugin", "attacker")));
  };

  std::atomic<bool> enough{false};
  std::atomic<int> calls{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      while (!enough) {
        const agent::HostCall call = host.Call("template.execute", "{}", SteadyTime::max());
        EXPECT_EQ(call.result.outcome, rpc::Outcome::kReply) << call.result.reason;
        ++calls;
      }
    });
  }
  const auto patience = std::chrono::steady_clock::now() + kPatience;
  for (int step = 1; step <= kRenewals; ++step) {
    const int before = calls;
    clock.steps = step;
    // The next connection sees to it, and calls are answered with the new ones.
    while ((renewed() < step || calls < before + 2 * kCallers) && std::chrono::steady_clock::now() < patience)
      std::this_thread::yield();
    EXPECT_EQ(renewed(), step);
  }
  enough = true;
  for (std::thread& caller : callers) caller.join();
  // Where nobody connects, whoever asks for it once in a while sees to it.
  clock.steps = kRenewals + 1;
  host.RenewCertificates();
  EXPECT_EQ(renewed(), kRenewals + 1);
  EXPECT_EQ(host.Call("template.execute", "{}", SteadyTime::max()).result.outcome, rpc::Outcome::kReply);
  // Nothing was started again for it.
  EXPECT_EQ(metrics.Get("bulkhead_plugin_restarts_total", MetricLabel("plugin", "attacker")), 0U);
  host.Stop();
}

}  // namespace
}  // namespace bulkhead::sandbox

// The shim: who gets a byte to a plugin, and who gets a byte of a request.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "certs/identity.h"
#include "certs/tls.h"
#include "harness.h"

namespace bulkhead::sandbox {
namespace {

// In restricted it is a port of the host, where other tests run beside this one.
const auto kShimPort = static_cast<uint16_t>(18'500 + ::getpid() % 1000);

class ShimTest : public InTier {
 protected:
  void SetUp() override {
    InTier::SetUp();
    authority_ = std::make_unique<certs::Authority>(Make("here"));
    plugin_uri_ = Must(certs::PluginUri("here", "ns", "wf", "attacker"));
    agent_uri_ = Must(certs::AgentUri("here", "ns", "wf"));
    server_ = std::make_unique<certs::Identity>(Must(authority_->Issue(plugin_uri_, certs::Role::kServer)));
    running_ =
        Start(GetParam(), {"serve", std::to_string(kShimPort)}, server_.get(), agent_uri_, [](SandboxSpec& spec) {
          spec.ports = {kShimPort};
          spec.serve_port = kShimPort;
        });
    ASSERT_NE(running_.process, nullptr);
    ASSERT_TRUE(running_.process->WaitReady(kPatience).ok());
  }

  void TearDown() override {
    running_ = {};  // before the launcher it came from
    InTier::TearDown();
  }

  template <typename T>
  static T Must(Result<T> result) {
    if (!result.ok()) throw std::runtime_error(result.error().message());
    return std::move(result).value();
  }
  certs::Authority Make(std::string_view domain) {
    return Must(certs::Authority::Create(domain, std::chrono::hours(1), clock_));
  }
  static certs::TlsContext Client(const certs::Identity& self, std::string_view peer) {
    return Must(certs::TlsContext::ForClient(self, peer));
  }
  static std::chrono::steady_clock::time_point Soon() { return std::chrono::steady_clock::now() + kPatience; }

  // What the shim sends back, if anything, to a client with `self`. An error of the handshake, or of the first
  // read: in TLS 1.3 a client learns only then that its certificate was refused.
  Result<std::string> Echo(const certs::Identity& self, std::string_view peer) {
    UniqueFd fd = Must(running_.process->Connect());
    BULKHEAD_ASSIGN(certs::TlsStream stream, certs::TlsStream::Connect(Client(self, peer), std::move(fd), Soon()));
    BULKHEAD_TRY(stream.Write("hello", Soon()));
    char text[64] = {};
    BULKHEAD_ASSIGN(const size_t size, stream.Read(text, sizeof text, Soon()));
    return std::string(text, size);
  }

  // The plugin hears nothing until the right client comes.
  void ExpectUntouched() {
    EXPECT_EQ(running_.Output(), "") << "the plugin was reached";
    const auto right = Must(authority_->Issue(agent_uri_, certs::Role::kClient));
    const auto echo = Echo(right, plugin_uri_);
    ASSERT_TRUE(echo.ok()) << echo.error().message();
    EXPECT_EQ(*echo, "hello");
    ASSERT_TRUE(running_.WaitFor("REACHED\n"));
    EXPECT_EQ(running_.Output(), "REACHED\n");
  }

  const Clock clock_;
  std::unique_ptr<certs::Authority> authority_;
  std::string plugin_uri_, agent_uri_;
  std::unique_ptr<certs::Identity> server_;
  Running running_;
};

INSTANTIATE_TEST_SUITE_P(Tiers, ShimTest, ::testing::Values(Tier::kStrict, Tier::kRestricted),
                         [](const auto& tier) { return std::string(TierName(tier.param)); });

TEST_P(ShimTest, OnlyTheRightClientReachesThePlugin) {
  ExpectUntouched();
}

TEST_P(ShimTest, AClientOfAnotherAuthorityGetsNothing) {
  const certs::Authority other = Make("here");
  auto forged = Must(other.Issue(agent_uri_, certs::Role::kClient));
  forged.authority_der = server_->authority_der;  // it trusts the shim; the shim must not trust it
  const auto echo = Echo(forged, plugin_uri_);
  EXPECT_FALSE(echo.ok()) << *echo;
  ExpectUntouched();
}

TEST_P(ShimTest, AClientOfAnotherNameGetsNothing) {
  for (const std::string& uri : {agent_uri_ + "x", plugin_uri_, Must(certs::AgentUri("here", "ns", "other"))}) {
    const auto echo = Echo(Must(authority_->Issue(uri, certs::Role::kClient)), plugin_uri_);
    EXPECT_FALSE(echo.ok()) << uri;
  }
  ExpectUntouched();
}

TEST_P(ShimTest, AServerCertificateIsNoClientCertificate) {
  const auto echo = Echo(Must(authority_->Issue(agent_uri_, certs::Role::kServer)), plugin_uri_);
  EXPECT_FALSE(echo.ok());
  ExpectUntouched();
}

TEST_P(ShimTest, AfterARenewalNobodyOfTheOldAuthorityGetsInAndWhatStandsGoesOn) {
  const auto old_client = Must(authority_->Issue(agent_uri_, certs::Role::kClient));
  const auto connect = [&] { return Must(running_.process->Connect()); };
  const auto greet = [](certs::TlsStream& stream) -> Result<std::string> {
    BULKHEAD_TRY(stream.Write("hello", Soon()));
    char text[64] = {};
    BULKHEAD_ASSIGN(const size_t size, stream.Read(text, sizeof text, Soon()));
    return std::string(text, size);
  };
  certs::TlsStream standing = Must(certs::TlsStream::Connect(Client(old_client, plugin_uri_), connect(), Soon()));
  UniqueFd waiting = connect();  // its handshake comes after the renewal

  const certs::Authority renewed = Make("here");
  const auto new_client = Must(renewed.Issue(agent_uri_, certs::Role::kClient));
  ASSERT_TRUE(running_.process->Renew(Must(renewed.Issue(plugin_uri_, certs::Role::kServer)), agent_uri_).ok());

  // Connections from before are of the old one, also those that had not proved yet who they are.
  EXPECT_EQ(Must(greet(standing)), "hello");
  certs::TlsStream late = Must(certs::TlsStream::Connect(Client(old_client, plugin_uri_), std::move(waiting), Soon()));
  EXPECT_EQ(Must(greet(late)), "hello");
  const auto admitted = Echo(new_client, plugin_uri_);
  ASSERT_TRUE(admitted.ok()) << admitted.error().message();
  EXPECT_EQ(*admitted, "hello");
  auto forged = old_client.Clone();
  forged.authority_der = new_client.authority_der;  // it trusts the shim; the shim must not trust it any more
  EXPECT_FALSE(Echo(forged, plugin_uri_).ok());
  EXPECT_FALSE(Echo(old_client, plugin_uri_).ok());
}

TEST_P(ShimTest, APlainRequestGetsNoByteThrough) {
  UniqueFd fd = Must(running_.process->Connect());
  const std::string_view request =
      "POST /api/v1/template.execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
  ASSERT_EQ(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  char text[256] = {};
  std::string answer;
  for (ssize_t size = 0; (size = ::recv(fd.get(), text, sizeof text, 0)) > 0;)
    answer.append(text, static_cast<size_t>(size));
  EXPECT_EQ(answer.find("HTTP"), std::string::npos);
  ExpectUntouched();
}

TEST_P(ShimTest, AServerOfAnotherNameGetsNoByteOfARequest) {
  const auto client = Must(authority_->Issue(agent_uri_, certs::Role::kClient));
  UniqueFd fd = Must(running_.process->Connect());
  const auto stream = certs::TlsStream::Connect(Client(client, plugin_uri_ + "x"), std::move(fd), Soon());
  ASSERT_FALSE(stream.ok());
  EXPECT_EQ(stream.error().code(), Code::kPermissionDenied) << stream.error().message();
  ExpectUntouched();
}

TEST_P(ShimTest, AThousandIdleClientsDoNotShutOutTheAgent) {
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 1000; ++i) {
    auto fd = running_.process->Connect();
    if (!fd.ok()) break;
    idle.push_back(std::move(*fd));
  }
  idle.clear();
  ExpectUntouched();
}

// In restricted its port is the host's, and who listens there already would get what is meant for the plugin.
TEST_F(AttackTest, WhoListensOnThePluginsPortIsNotTakenForThePlugin) {
  const UniqueFd squatter(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(squatter.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(squatter.get(), 8), 0);
  ASSERT_EQ(::getsockname(squatter.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const uint16_t port = ntohs(address.sin_port);
  auto authority = certs::Authority::Create("here", std::chrono::hours(1), Clock());
  ASSERT_TRUE(authority.ok());
  const auto server = authority->Issue(*certs::PluginUri("here", "ns", "wf", "attacker"), certs::Role::kServer);
  ASSERT_TRUE(server.ok());
  const Running running = Start(Tier::kRestricted, {"wait"}, &*server, *certs::AgentUri("here", "ns", "wf"),
                                [port](SandboxSpec& spec) { spec.ports = {spec.serve_port = port}; });
  ASSERT_NE(running.process, nullptr);
  ASSERT_TRUE(running.WaitFor("READY"));
  const Status ready = running.process->WaitReady(std::chrono::milliseconds(300));
  ASSERT_FALSE(ready.ok());
  EXPECT_EQ(ready.error().code(), Code::kDeadlineExceeded) << ready.error().message();
}

// What whoever takes the shim over would have.
TEST_P(ShimTest, TheShimItselfHasNoPrivilegeLeft) {
  const std::string folder = "/proc/" + std::to_string(running_.process->pid());
  std::ifstream file(folder + "/status");
  std::map<std::string, std::string> status;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    status[line.substr(0, colon)] = line.substr(std::min(line.size(), colon + 2));
  }
  for (const char* const set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) EXPECT_EQ(status[set], "0000000000000000");
  EXPECT_EQ(status["NoNewPrivs"], "1");
  EXPECT_EQ(status["Seccomp"], "2");
  EXPECT_EQ(status["Groups"], " ") << "it kept the agent's groups";
  EXPECT_NE(status["Uid"].substr(0, 2), "0\t") << "it is still the host's root";
  // A process that is not dumpable has its folder owned by root (proc(5)).
  struct stat info = {};
  ASSERT_EQ(::stat((folder + "/mem").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U) << "a process of its user could read its memory";
}

}  // namespace
}  // namespace bulkhead::sandbox

// Both sides of mutual TLS against every wrong peer. The server is OpenSSL's, driven by this test over a socket
// pair, so that what reaches it can be counted.
#include "certs/tls.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

#include <thread>

#include "certs/tls_internal.h"

namespace bulkhead::certs {
namespace {

template <typename T>
T Must(Result<T> result) {
  EXPECT_TRUE(result.ok());
  return std::move(result).value();
}

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    agent_ = *AgentUri("td", "ns", "wf");
    plugin_ = *PluginUri("td", "ns", "wf", "p");
  }

  static Authority Make(const char* domain = "td") {
    return Must(Authority::Create(domain, std::chrono::hours(1), Clock()));
  }
  static std::chrono::steady_clock::time_point Soon() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(20);
  }

  struct Seen {
    bool handshake = false;
    std::string bytes;
  };
  // A server with `identity` that expects `client`: what it sees of a client that sends "request".
  Seen Against(const Identity& identity, const std::string& client, const Identity& self, const std::string& expected,
               Status& status) {
    int fds[2] = {};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    Seen seen;
    std::thread server([&] {
      const UniqueFd end(fds[1]);
      const auto context = TlsContext::ForServer(identity, client);
      if (!context.ok()) return;
      const SslPtr ssl = NewConnection(*context->state());
      SSL_set_fd(ssl.get(), end.get());
      seen.handshake = SSL_accept(ssl.get()) == 1;
      char text[64];
      const int size = seen.handshake ? SSL_read(ssl.get(), text, sizeof text) : 0;
      if (size > 0) {
        seen.bytes.assign(text, static_cast<size_t>(size));
        SSL_write(ssl.get(), "reply", 5);
        SSL_shutdown(ssl.get());
      }
    });
    status = Exchange(self, expected, UniqueFd(fds[0]));
    server.join();
    return seen;
  }

  static Status Exchange(const Identity& self, const std::string& expected, UniqueFd fd) {
    BULKHEAD_ASSIGN(const TlsContext context, TlsContext::ForClient(self, expected));
    BULKHEAD_ASSIGN(TlsStream stream, TlsStream::Connect(context, std::move(fd), Soon()));
    BULKHEAD_TRY(stream.Write("request", Soon()));
    char text[64];
    BULKHEAD_ASSIGN(const size_t size, stream.Read(text, sizeof text, Soon()));
    if (std::string_view(text, size) != "reply") return Error(Code::kInternal, "another reply");
    return OkStatus();
  }

  std::string agent_, plugin_;
};

TEST_F(TlsTest, TheRightPeersTalk) {
  const Authority authority = Make();
  Status status;
  const Seen seen = Against(Must(authority.Issue(plugin_, Role::kServer)), agent_,
                            Must(authority.Issue(agent_, Role::kClient)), plugin_, status);
  EXPECT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(seen.bytes, "request");
}

TEST_F(TlsTest, AnImpostorServerGetsNoByteOfARequest) {
  const Authority authority = Make();
  const Authority other = Make();
  const Identity self = Must(authority.Issue(agent_, Role::kClient));
  Identity untrusted = Must(other.Issue(plugin_, Role::kServer));
  untrusted.authority_der = self.authority_der;  // would take us; we must not take it
  std::vector<Identity> impostors;
  impostors.push_back(std::move(untrusted));
  impostors.push_back(Must(authority.Issue(*PluginUri("td", "ns", "wf", "q"), Role::kServer)));   // another plugin
  impostors.push_back(Must(authority.Issue(*PluginUri("td", "ns", "wf2", "p"), Role::kServer)));  // another workflow
  impostors.push_back(Must(authority.Issue(plugin_, Role::kClient)));                             // the wrong key usage
  for (const Identity& impostor : impostors) {
    Status status;
    const Seen seen = Against(impostor, agent_, self, plugin_, status);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), Code::kPermissionDenied) << status.error().message();
    EXPECT_EQ(seen.bytes, "");
  }
}

TEST_F(TlsTest, AServerTakesNoOtherClient) {
  const Authority authority = Make();
  const Authority other = Make();
  const Identity server = Must(authority.Issue(plugin_, Role::kServer));
  Identity untrusted = Must(other.Issue(agent_, Role::kClient));
  untrusted.authority_der = server.authority_der;
  std::vector<Identity> clients;
  clients.push_back(std::move(untrusted));
  clients.push_back(Must(authority.Issue(*AgentUri("td", "ns", "wf2"), Role::kClient)));
  clients.push_back(Must(authority.Issue(agent_, Role::kServer)));
  for (const Identity& client : clients) {
    Status status;
    const Seen seen = Against(server, agent_, client, plugin_, status);
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(seen.handshake);
    EXPECT_EQ(seen.bytes, "");
  }
}

TEST_F(TlsTest, OlderTlsIsNotSpoken) {
  const Authority authority = Make();
  int fds[2] = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  std::thread server([&] {
    const UniqueFd end(fds[1]);
    SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    SSL* const ssl = SSL_new(context);
    SSL_set_fd(ssl, end.get());
    EXPECT_NE(SSL_accept(ssl), 1);
    SSL_free(ssl);
    SSL_CTX_free(context);
  });
  const Status status = Exchange(Must(authority.Issue(agent_, Role::kClient)), plugin_, UniqueFd(fds[0]));
  server.join();
  EXPECT_FALSE(status.ok());
}

TEST_F(TlsTest, ASilentPeerIsWaitedForNoLongerThanTheDeadline) {
  const Authority authority = Make();
  int fds[2] = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd silent(fds[1]);
  const auto context = TlsContext::ForClient(Must(authority.Issue(agent_, Role::kClient)), plugin_);
  ASSERT_TRUE(context.ok());
  const auto stream =
      TlsStream::Connect(*context, UniqueFd(fds[0]), std::chrono::steady_clock::now() + std::chrono::milliseconds(20));
  ASSERT_FALSE(stream.ok());
  EXPECT_EQ(stream.error().code(), Code::kDeadlineExceeded);
}

TEST_F(TlsTest, ACertificateHasOneUriAndItsUsageAndNothingElse) {
  const Authority authority = Make();
  const Identity identity = Must(authority.Issue(plugin_, Role::kServer));
  const auto* bytes = reinterpret_cast<const unsigned char*>(identity.certificate_der.data());
  X509* const certificate = d2i_X509(nullptr, &bytes, static_cast<long>(identity.certificate_der.size()));
  ASSERT_NE(certificate, nullptr);
  auto* const names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  ASSERT_NE(names, nullptr);
  ASSERT_EQ(sk_GENERAL_NAME_num(names), 1);
  const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, 0);
  ASSERT_EQ(name->type, GEN_URI);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier))),
            plugin_);
  EXPECT_EQ(X509_check_ca(certificate), 0);
  EXPECT_EQ(X509_get_extended_key_usage(certificate), static_cast<uint32_t>(XKU_SSL_SERVER));
  GENERAL_NAMES_free(names);
  X509_free(certificate);
}

TEST(Uris, SegmentsAreChecked) {
  EXPECT_EQ(*PluginUri("td", "ns", "wf", "p"), "spiffe://td/ns/ns/wf/wf/plugin/p");
  for (const char* const bad : {"", "a/b", "a b", "..", "a%2fb", "\n", "\xC3\xA9"}) {
    EXPECT_FALSE(PluginUri("td", "ns", "wf", bad).ok()) << bad;
    EXPECT_FALSE(PluginUri("td", bad, "wf", "p").ok()) << bad;
  }
}

}  // namespace
}  // namespace bulkhead::certs

// Both sides of mutual TLS against every wrong peer. The server is OpenSSL's, driven by this test over a socket
// pair, so that what reaches it can be counted.
#include "certs/tls.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

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

// Everything is right but the version, on either side.
TEST_F(TlsTest, OlderTlsIsNotSpoken) {
  const Authority authority = Make();
  for (const bool old_server : {false, true}) {
    int fds[2] = {};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    const auto server = Must(TlsContext::ForServer(Must(authority.Issue(plugin_, Role::kServer)), agent_));
    const auto client = Must(TlsContext::ForClient(Must(authority.Issue(agent_, Role::kClient)), plugin_));
    SSL_CTX* const old = (old_server ? server : client).state()->context.get();
    ASSERT_EQ(SSL_CTX_set_min_proto_version(old, TLS1_2_VERSION), 1);
    ASSERT_EQ(SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION), 1);
    std::thread accepting([&] {
      const UniqueFd end(fds[1]);
      const SslPtr ssl = NewConnection(*server.state());
      SSL_set_fd(ssl.get(), end.get());
      EXPECT_NE(SSL_accept(ssl.get()), 1) << "spoken as " << SSL_get_version(ssl.get());
    });
    {
      const UniqueFd end(fds[0]);
      const SslPtr ssl = NewConnection(*client.state());
      SSL_set_fd(ssl.get(), end.get());
      EXPECT_NE(SSL_connect(ssl.get()), 1) << "spoken as " << SSL_get_version(ssl.get());
    }
    accepting.join();
  }
}

// What an authority that is not ours might sign: the right URI, and another name beside it.
Identity WithNames(const std::string& names, const char* usage = "clientAuth") {
  const auto make_key = [] { return KeyPtr(EVP_EC_gen("P-256")); };
  const auto der = [](auto encode, auto* object) {
    unsigned char* bytes = nullptr;
    const int size = encode(object, &bytes);
    std::string text(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    OPENSSL_free(bytes);
    return text;
  };
  const auto make = [&](EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key,
                        const std::vector<std::pair<int, std::string>>& extensions) {
    CertPtr certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), issuer == nullptr ? 1 : 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(issuer == nullptr ? "ca" : "leaf"), -1, -1, 0);
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer == nullptr ? certificate.get() : issuer));
    X509V3_CTX context = {};
    X509V3_set_ctx(&context, issuer == nullptr ? certificate.get() : issuer, certificate.get(), nullptr, nullptr, 0);
    for (const auto& [nid, value] : extensions) {
      X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
      EXPECT_EQ(X509_add_ext(certificate.get(), extension, -1), 1) << value;
      X509_EXTENSION_free(extension);
    }
    EXPECT_GT(X509_sign(certificate.get(), issuer_key, EVP_sha256()), 0);
    return certificate;
  };
  const KeyPtr authority_key = make_key();
  const CertPtr authority =
      make(authority_key.get(), nullptr, authority_key.get(),
           {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_key_usage, "critical,keyCertSign"}});
  const KeyPtr key = make_key();
  std::vector<std::pair<int, std::string>> extensions = {{NID_subject_alt_name, names},
                                                         {NID_key_usage, "critical,digitalSignature"}};
  if (usage[0] != '\0') extensions.emplace_back(NID_ext_key_usage, usage);
  const CertPtr leaf = make(key.get(), authority.get(), authority_key.get(), extensions);
  Identity identity;
  identity.certificate_der = der(i2d_X509, leaf.get());
  identity.private_key_der = Secret(der(i2d_PrivateKey, key.get()));
  identity.authority_der = der(i2d_X509, authority.get());
  return identity;
}

// OpenSSL takes a certificate that names no purpose for any.
TEST_F(TlsTest, ACertificateForNoPurposeIsForNone) {
  const Authority authority = Make();
  for (const char* const usage : {"clientAuth", "", "serverAuth", "clientAuth,serverAuth"}) {
    Identity client = WithNames("URI:" + agent_, usage);
    Identity server = Must(authority.Issue(plugin_, Role::kServer));
    std::swap(client.authority_der, server.authority_der);
    Status status;
    const Seen seen = Against(server, agent_, client, plugin_, status);
    EXPECT_EQ(seen.handshake, std::string_view(usage) == "clientAuth") << usage;
  }
}

TEST_F(TlsTest, OneNameIsAllThatAPeerMayHave) {
  const Authority authority = Make();
  const struct {
    std::string names;
    bool taken;
  } cases[] = {
      {"URI:" + agent_, true},
      {"URI:" + agent_ + ",URI:" + *AgentUri("td", "ns", "other"), false},
      {"URI:" + *AgentUri("td", "ns", "other") + ",URI:" + agent_, false},
      {"URI:" + agent_ + ",DNS:localhost", false},
      {"DNS:localhost", false},
  };
  for (const auto& [names, taken] : cases) {
    Identity client = WithNames(names);
    Identity server = Must(authority.Issue(plugin_, Role::kServer));
    std::swap(client.authority_der, server.authority_der);
    Status status;
    const Seen seen = Against(server, agent_, client, plugin_, status);
    EXPECT_EQ(seen.handshake, taken) << names;
    EXPECT_EQ(seen.bytes, taken ? "request" : "") << names;
  }
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

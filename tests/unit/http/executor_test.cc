// The executor with a resolver of the test's own: what names lead to is what an attacker chooses.
#include "runner/http/executor.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "runner/base/json.h"
#include "runner/base/unique_fd.h"

namespace bulkhead::http {
namespace {

// Answers each connection with the next of `replies`, and counts.
class Server {
 public:
  explicit Server(std::vector<std::string> replies) : replies_(std::move(replies)) {
    fd_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd_.get(), 16), 0);
    EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Server() {
    ::shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string port() const { return std::to_string(port_); }
  int connections() const { return connections_; }

 private:
  void Serve() {
    for (;;) {
      const UniqueFd peer(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer.valid()) return;
      const size_t index = static_cast<size_t>(connections_++);
      char buffer[4096];
      std::string request;
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t size = ::recv(peer.get(), buffer, sizeof buffer, 0);
        if (size <= 0) break;
        request.append(buffer, static_cast<size_t>(size));
      }
      const std::string& reply = replies_[std::min(index, replies_.size() - 1)];
      ::send(peer.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
    }
  }

  std::vector<std::string> replies_;
  UniqueFd fd_;
  uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::thread thread_;
};

std::string Ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string To(const std::string& location) {
  return "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + "\r\n\r\n";
}

class ExecutorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto redactor = redact::Redactor::Create({});
    ASSERT_TRUE(redactor.ok());
    options_.redactor = *redactor;
    options_.ca_folder = "";
    options_.resolver = [this](const std::string& host, SteadyTime,
                               const std::atomic<bool>&) -> Result<std::vector<IpAddress>> {
      ++lookups_;
      std::vector<std::string>& answers = names_[host];
      if (answers.empty()) return Error(Code::kUnavailable, "looking up " + host + ": no such name");
      const IpAddress address = *ParseAddress(answers.front());
      if (answers.size() > 1) answers.erase(answers.begin());
      return std::vector<IpAddress>{address};
    };
    options_.secrets = [this](std::string_view, std::string_view, std::string_view) -> Result<Secret> {
      ++secrets_read_;
      return Secret(secret_);
    };
  }

  HttpOutcome Execute(const std::string& policy_rules, const std::string& http) {
    const Status loaded = policies_.Load(
        "{apiVersion: bulkhead.dev/v1alpha1, kind: HttpEgressPolicy, metadata: {name: e}, spec: {match: {namespaces: "
        "[\"*\"], templates: [\"*\"]}, allow: [" +
            policy_rules + "]}}",
        "e.yaml");
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message());
    options_.policies = &policies_;
    Executor executor(options_);
    const JsonParse parsed = ParseJson(http);
    EXPECT_TRUE(parsed.ok) << parsed.error.message;
    return executor.Execute({"ns", "t", &parsed.value}, std::chrono::steady_clock::now() + std::chrono::seconds(30));
  }

  EgressPolicies policies_;
  ExecutorOptions options_;
  std::map<std::string, std::vector<std::string>> names_;  // what each lookup answers; the last one stays
  int lookups_ = 0;
  int secrets_read_ = 0;
  std::string secret_ = "Bearer abcdefgh";
};

TEST_F(ExecutorTest, ANameIsResolvedOnceAndWhatWasCheckedIsConnectedTo) {
  Server server({Ok("hello")});
  // Rebinding: a second lookup would lead to a place that no rule admits, and nobody listens there.
  names_["a.example.com"] = {"127.0.0.1", "192.0.2.1"};
  const HttpOutcome outcome =
      Execute("{id: a, hosts: [a.example.com], schemes: [http], ports: [" + server.port() + "], addresses: [loopback]}",
              R"({"url": "http://a.example.com:)" + server.port() + R"(/"})");
  EXPECT_EQ(outcome.phase, "Succeeded") << outcome.message;
  EXPECT_EQ(outcome.result, "hello");
  EXPECT_EQ(lookups_, 1);
  ASSERT_EQ(outcome.hops.size(), 1U);
  EXPECT_EQ(outcome.hops[0].address, "127.0.0.1");
}

TEST_F(ExecutorTest, ATaskIsJudgedByThePoliciesInForceWhenItBegins) {
  char folder[] = "/tmp/bulkhead-egress-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string file = std::string(folder) + "/p.yaml";
  const auto write = [&](const std::string& name, const std::string& rules) {
    std::ofstream(file) << "{apiVersion: bulkhead.dev/v1alpha1, kind: HttpEgressPolicy, metadata: {name: " + name +
                               "}, spec: {match: {namespaces: [\"*\"], templates: [\"*\"]}, allow: [" + rules + "]}}";
  };
  Server server({To("/again"), Ok("hello")});
  write("open",
        "{id: a, hosts: [a.example.com], schemes: [http], ports: [" + server.port() + "], addresses: [loopback]}");
  EgressHolder holder;
  auto policies = policy::Holder::Load({file}, &holder);
  ASSERT_TRUE(policies.ok()) << policies.error().message();
  const std::string http = R"({"url": "http://a.example.com:)" + server.port() + R"(/"})";
  const JsonParse parsed = ParseJson(http);
  ASSERT_TRUE(parsed.ok);
  // The files change while the first task follows its redirect.
  options_.resolver = [&, lookups = 0](const std::string&, SteadyTime,
                                       const std::atomic<bool>&) mutable -> Result<std::vector<IpAddress>> {
    if (++lookups == 2) {
      write("closed", "");
      EXPECT_EQ((*policies)->Refresh().kind, policy::Reload::Kind::kReplaced);
    }
    return std::vector<IpAddress>{*ParseAddress("127.0.0.1")};
  };
  options_.holder = &holder;
  Executor executor(options_);
  const auto execute = [&] {
    return executor.Execute({"ns", "t", &parsed.value}, std::chrono::steady_clock::now() + std::chrono::seconds(30));
  };
  const HttpOutcome during = execute();
  EXPECT_EQ(during.result, "hello") << during.message;
  const HttpOutcome after = execute();
  EXPECT_EQ(after.stop, HttpStop::kPolicy);
  EXPECT_NE(after.message.find("egress policy closed"), std::string::npos) << after.message;

  // Half a file is not put in force: what is wrong is of the other kind.
  write("open", "{id: a, hosts: [a.example.com]}");
  std::ofstream(file, std::ios::app) << "\n---\nkind: MutationPolicy\n";
  EXPECT_EQ((*policies)->Refresh().kind, policy::Reload::Kind::kKept);
  EXPECT_EQ(holder.Get()->Names(), std::vector<std::string>{"closed"});
  std::filesystem::remove_all(folder);
}

TEST_F(ExecutorTest, ARedirectToANameThatNowLeadsElsewhereIsRefused) {
  Server server({To("/again"), Ok("never")});
  names_["a.example.com"] = {"127.0.0.1", "169.254.169.254"};
  const HttpOutcome outcome =
      Execute("{id: a, hosts: [a.example.com], schemes: [http], ports: [" + server.port() + "], addresses: [loopback]}",
              R"({"url": "http://a.example.com:)" + server.port() + R"(/"})");
  EXPECT_EQ(outcome.phase, "Error");
  EXPECT_EQ(outcome.stop, HttpStop::kPolicy);
  EXPECT_NE(outcome.message.find("a metadata address"), std::string::npos) << outcome.message;
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(outcome.hops.size(), 2U);
}

TEST_F(ExecutorTest, ARefusedRequestIsNeitherResolvedNorGivenASecret) {
  const HttpOutcome outcome = Execute(
      "",
      R"({"url": "http://a.example.com/", "headers": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]})");
  EXPECT_EQ(outcome.phase, "Error");
  EXPECT_EQ(lookups_, 0);
  EXPECT_EQ(secrets_read_, 0);
}

TEST_F(ExecutorTest, ASecretThatCannotBeMaskedOrSentIsNotSent) {
  Server server({Ok("hello")});
  const std::string rule =
      "{id: a, hosts: [127.0.0.1], schemes: [http], ports: [" + server.port() + "], addresses: [loopback]}";
  const std::string http =
      R"({"url": "http://127.0.0.1:)" + server.port() +
      R"(/", "headers": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]})";
  for (const char* secret : {"abc", "line\r\nX-Injected: 1"}) {
    policies_ = {};
    secret_ = secret;
    const HttpOutcome outcome = Execute(rule, http);
    EXPECT_EQ(outcome.phase, "Error");
    EXPECT_EQ(outcome.stop, HttpStop::kTemplate);
    EXPECT_EQ(outcome.message.find("Injected"), std::string::npos);
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(ExecutorTest, WithAProxyOnlyTheProxyIsConnectedTo) {
  Server proxy({Ok("by proxy")});
  options_.proxies.http = "http://127.0.0.1:" + proxy.port();
  const std::string url = R"({"url": "http://a.example.com/"})";
  const HttpOutcome outcome =
      Execute("{id: a, hosts: [a.example.com, 10.0.0.1], schemes: [http], viaProxy: true}", url);
  EXPECT_EQ(outcome.result, "by proxy") << outcome.message;
  EXPECT_EQ(lookups_, 0);
  // An address in the URL is judged all the same.
  policies_ = {};
  const HttpOutcome inside =
      Execute("{id: a, hosts: [10.0.0.1], schemes: [http], viaProxy: true}", R"({"url": "http://10.0.0.1/"})");
  EXPECT_NE(inside.message.find("a private address"), std::string::npos) << inside.message;
  EXPECT_EQ(proxy.connections(), 1);
}

TEST_F(ExecutorTest, TemplatesAreReadStrictly) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "needs \"url\""},
      {R"({"url": "ftp://h/"})", "only http and https"},
      {R"({"url": "http://h/", "method": "CONNECT"})", "speaks to proxies"},
      {R"({"url": "http://h/", "method": "G T"})", "must be a word"},
      {R"({"url": "http://h/", "method": "post"})", "must be in capitals: POST"},
      {R"({"url": "http://h/", "timeoutSeconds": -1})", "timeoutSeconds must be a whole number"},
      {R"({"url": "http://h/", "timeoutSecond": 1})", "did you mean \"timeoutSeconds\"?"},
      {R"({"url": "http://h/", "headers": [{"name": "Content-Length", "value": "1"}]})", "written by the client"},
      {R"({"url": "http://h/", "headers": [{"name": "transfer-encoding", "value": "chunked"}]})",
       "written by the client"},
      {R"({"url": "http://h/", "headers": [{"name": "A B", "value": "1"}]})", "letters, digits and hyphens"},
      {R"({"url": "http://h/", "headers": [{"name": "A", "value": "1\r\nB: 2"}]})", "control character"},
      {R"({"url": "http://h/", "headers": [{"name": "Host", "value": "a/b"}]})", "must be a host"},
      {R"({"url": "http://h/", "headers": [{"name": "Host", "value": "u@a"}]})", "must be a host"},
      {R"({"url": "http://h/", "headers": [{"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]})",
       "not both"},
      {R"({"url": "http://h/", "headers": [{"name": "A", "valueFrom": {}}]})", "needs \"secretKeyRef\""},
      {R"({"url": "http://h/", "bodyFrom": {"bytes": "&"}})", "base64"},
      {R"({"url": "http://h/", "body": "a", "bodyFrom": {"bytes": "YQ=="}})", "not both"},
  };
  for (const auto& [http, reason] : cases) {
    const JsonParse parsed = ParseJson(http);
    ASSERT_TRUE(parsed.ok) << http;
    Diagnostics diagnostics("t.yaml");
    ReadHttpTemplate(parsed.value, diagnostics);
    const Status status = diagnostics.ToStatus();
    ASSERT_FALSE(status.ok()) << http;
    EXPECT_NE(status.error().message().find(reason), std::string::npos) << status.error().message();
  }
}

TEST(HttpResult, HoldsNothingThatArgoWouldExpand) {
  struct Case {
    std::string body;
    ResultText text;
    bool braces;
    bool fine;
  };
  const Case cases[] = {
      {"", ResultText::kText, false, true},
      {"{\"a\":{\"b\":1}}\n\t\r\n", ResultText::kText, false, true},
      {"a {{b}}", ResultText::kText, false, false},
      {"a {{b}}", ResultText::kText, true, true},
      {"\xff", ResultText::kAnyUtf8, true, false},
      {std::string("a\0b", 3), ResultText::kAnyUtf8, true, false},
      {"\x1b[2J", ResultText::kText, true, false},
      {"\x1b[2J", ResultText::kAnyUtf8, false, true},
      {"a\xe2\x80\xae"
       "b",
       ResultText::kText, false, false},
      {"__argo-internal.absent-optional-output__", ResultText::kAnyUtf8, true, false},
      {"x __argo__internal__placeholder-1 x", ResultText::kAnyUtf8, true, false},
  };
  for (const Case& one : cases)
    EXPECT_EQ(!ResultRefusal(one.body, one.text, one.braces).has_value(), one.fine) << one.body;
}

}  // namespace
}  // namespace bulkhead::http

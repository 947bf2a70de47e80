#include "runner/http/egress.h"

#include <gtest/gtest.h>

namespace bulkhead::http {
namespace {

constexpr char kPolicy[] = R"(
apiVersion: bulkhead.dev/v1alpha1
kind: HttpEgressPolicy
metadata: {name: web, owner: team@example.com, reviewBy: "2099-01-01"}
spec:
  match: {namespaces: ["ci-*"], templates: ["*"]}
  limits: {responseBytes: 1000, timeout: 30s, redirects: 2}
  allow:
    - {id: api, hosts: [api.example.com, "*.svc.example.org"], methods: [GET, POST]}
    - {id: inside, hosts: [build.internal, 10.0.0.5], schemes: [http], ports: [8080], addresses: [private]}
    - {id: lax, hosts: [old.example.com], insecureSkipVerify: true, viaProxy: true, result: {charset: any, braces: allow}}
    - {id: wide, hosts: [wide.example.com], addresses: [169.254.0.0/16, "fd00::/8"]}
    - {id: narrow, hosts: [narrow.example.com], addresses: ["169.254.169.254", link-local]}
    - {id: local, hosts: [local.example.com, "::1"], addresses: [loopback]}
)";

EgressPolicies Load(const char* text) {
  EgressPolicies policies;
  const Status status = policies.Load(text, "egress.yaml");
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message());
  return policies;
}

struct Ask {
  const char* url;
  const char* method = "GET";
  std::vector<const char*> addresses = {"93.184.216.34"};
  const char* host_header = "";
  bool insecure = false;
  bool proxy = false;
};

// The rule that allows it, or the refusal.
std::string Decide(const EgressPolicies& policies, const Ask& ask, const char* name_space = "ci-1") {
  const auto url = ParseUrl(ask.url);
  if (!url.ok()) return url.error().message();
  auto grant = policies.DecideTarget({name_space, "t"}, {&*url, ask.method, ask.host_header, ask.insecure, ask.proxy});
  if (!grant.ok()) return grant.error().message();
  std::vector<IpAddress> addresses;
  for (const char* address : ask.addresses) addresses.push_back(*ParseAddress(address));
  if (const Status status = DecideAddresses(url->host, addresses, *grant); !status.ok())
    return status.error().message();
  return grant->Rules();
}

TEST(Egress, OnlyWhatARuleNamesIsReached) {
  const EgressPolicies policies = Load(kPolicy);
  struct Case {
    Ask ask;
    const char* found;
  };
  const Case cases[] = {
      {{"https://api.example.com/x"}, "web/api at egress.yaml:9"},
      {{"https://API.EXAMPLE.COM:443/x", "POST"}, "web/api at"},
      {{"https://a.b.svc.example.org/"}, "web/api at"},
      {{"https://svc.example.org/"}, "no rule of egress policy web at egress.yaml:2"},
      {{"https://evilsvc.example.org/"}, "no rule"},
      {{"https://api.example.com.evil.test/"}, "no rule"},
      {{"http://api.example.com/"}, "rule web/api at egress.yaml:9 does not allow scheme http"},
      {{"https://api.example.com:444/"}, "does not allow port 444"},
      {{"https://api.example.com/", "DELETE"}, "does not allow method DELETE"},
      {{"https://api.example.com/", "get"}, "does not allow method get"},
      {{"https://api.example.com/", "GET", {"93.184.216.34"}, "x.svc.example.org"}, "web/api at"},
      {{"https://api.example.com/", "GET", {"93.184.216.34"}, "evil.test"}, "Host header names"},
      {{"https://api.example.com/", "GET", {"93.184.216.34"}, "", true}, "does not allow insecureSkipVerify"},
      {{"https://api.example.com/", "GET", {}, "", false, true}, "does not allow a proxy"},
      {{"https://old.example.com/", "GET", {"93.184.216.34"}, "", true}, "web/lax at"},
      // Where the name leads is checked, whatever the name is.
      {{"https://api.example.com/", "GET", {"127.0.0.1"}}, "resolves to 127.0.0.1, a loopback address"},
      {{"https://api.example.com/", "GET", {"10.0.0.1"}}, "a private address"},
      {{"https://api.example.com/", "GET", {"169.254.169.254"}}, "a metadata address"},
      {{"https://api.example.com/", "GET", {"::ffff:93.184.216.34"}}, "a special address"},
      {{"https://api.example.com/", "GET", {"0.0.0.0"}}, "a special address"},
      {{"https://api.example.com/", "GET", {"fe80::1"}}, "a link-local address"},
      {{"https://api.example.com/", "GET", {"93.184.216.34", "10.0.0.1"}}, "a private address"},
      {{"https://api.example.com/", "GET", {}}, "has no address"},
      {{"http://build.internal:8080/", "GET", {"10.1.2.3", "192.168.0.1"}}, "web/inside at"},
      {{"http://build.internal:8080/", "GET", {"127.0.0.1"}}, "a loopback address"},
      {{"http://10.0.0.5:8080/", "GET", {"10.0.0.5"}}, "web/inside at"},
      {{"http://10.0.0.6:8080/", "GET", {"10.0.0.6"}}, "no rule"},
      {{"https://wide.example.com/", "GET", {"169.254.1.1"}}, "web/wide at"},
      {{"https://wide.example.com/", "GET", {"169.254.169.254"}}, "a metadata address"},
      {{"https://wide.example.com/", "GET", {"fd00:ec2::254"}}, "a metadata address"},
      {{"https://narrow.example.com/", "GET", {"169.254.169.254"}}, "web/narrow at"},
      {{"https://narrow.example.com/", "GET", {"169.254.170.2"}}, "a metadata address"},
      {{"https://local.example.com/", "GET", {"127.0.0.1"}}, "web/local at"},
      {{"https://[::1]/", "GET", {"::1"}}, "web/local at"},
      // Other spellings of an address never get as far as a rule.
      {{"http://0x0a000005:8080/", "GET", {"10.0.0.5"}}, "four decimal numbers"},
      {{"http://167772165:8080/", "GET", {"10.0.0.5"}}, "four decimal numbers"},
      {{"http://10.5:8080/", "GET", {"10.0.0.5"}}, "four decimal numbers"},
      {{"https://api.example.com./"}, "ends in a dot"},
      {{"https://api.example.com@evil.test/"}, "user information"},
  };
  for (const Case& one : cases) {
    const std::string found = Decide(policies, one.ask);
    EXPECT_NE(found.find(one.found), std::string::npos) << one.ask.url << ": " << found;
  }
}

TEST(Egress, ARefusalSaysWhatToWrite) {
  EXPECT_NE(Decide(EgressPolicies(), {"https://a.test:8443/", "POST"})
                .find("no egress policy was given, so HTTP templates may reach nothing: write an HttpEgressPolicy with "
                      "spec.match: {namespaces: [\"ci-1\"], templates: [\"t\"]} and spec.allow: [{id: ..., hosts: "
                      "[\"a.test\"], "
                      "schemes: [https], methods: [POST], ports: [8443]}]"),
            std::string::npos);
  const EgressPolicies policies = Load(kPolicy);
  EXPECT_NE(Decide(policies, {"https://api.example.com/"}, "prod").find("no egress policy matches this template"),
            std::string::npos);
  EXPECT_NE(Decide(policies, {"https://api.example.com/", "GET", {"10.0.0.1"}})
                .find("add to the rule: addresses: [...] with \"10.0.0.1\", a range, or private"),
            std::string::npos);
}

TEST(Egress, EveryPolicyThatMatchesMustAllow) {
  EgressPolicies policies = Load(kPolicy);
  ASSERT_TRUE(
      policies
          .Load("{apiVersion: bulkhead.dev/v1alpha1, kind: HttpEgressPolicy, metadata: {name: all}, spec: {match: "
                "{namespaces: [\"*\"], templates: [\"*\"]}, limits: {timeout: 5s}, allow: [{id: some, hosts: "
                "[api.example.com, old.example.com]}]}}",
                "all.yaml")
          .ok());
  EXPECT_EQ(Decide(policies, {"https://api.example.com/"}), "web/api at egress.yaml:9, all/some at all.yaml:1");
  EXPECT_NE(Decide(policies, {"https://a.svc.example.org/"}).find("no rule of egress policy all"), std::string::npos);
  const EgressLimits limits = policies.LimitsFor({"ci-1", "t"});
  EXPECT_EQ(limits.response_bytes, 1000U);
  EXPECT_EQ(limits.timeout, std::chrono::seconds(5));
  EXPECT_EQ(limits.redirects, 2);
  // What a result may hold is what both say.
  const Url url = *ParseUrl("https://old.example.com/");
  const auto grant = policies.DecideTarget({"ci-1", "t"}, {&url, "GET", "", false, false});
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ(grant->text(), ResultText::kText);
  EXPECT_FALSE(grant->braces());
}

TEST(Egress, EveryMistakeInAFileIsToldWithItsPlace) {
  struct Case {
    const char* rule;
    const char* reason;
  };
  const Case cases[] = {
      {"{hosts: [a.test]}", "needs \"id\""},
      {"{id: a}", "needs \"hosts\""},
      {"{id: a, hosts: []}", "needs \"hosts\""},
      {"{id: a, hosts: [\"*\"]}", "would open every host"},
      {"{id: a, hosts: [\"*.com\"]}", "top-level domain"},
      {"{id: a, hosts: [\"*.10.0.0.1\"]}", "top-level domain"},
      {"{id: a, hosts: [\"a.*.test\"]}", "may have letters"},
      {"{id: a, hosts: [https://a.test]}", "no IPv6 address"},
      {"{id: a, hosts: [0x7f.1]}", "four decimal numbers"},
      {"{id: a, hosts: [a.test], methods: [GETS]}", "no \"GETS\" (did you mean \"GET\"?)"},
      {"{id: a, hosts: [a.test], methods: []}", "methods is empty"},
      {"{id: a, hosts: [a.test], schemes: [ftp]}", "no \"ftp\""},
      {"{id: a, hosts: [a.test], ports: [0]}", "whole number from 1 to 65535"},
      {"{id: a, hosts: [a.test], ports: [\"80\"]}", "must be a number"},
      {"{id: a, hosts: [a.test], addresses: [privat]}", "did you mean \"private\"?"},
      {"{id: a, hosts: [a.test], addresses: [10.0.0.1/8]}", "bits set after its prefix"},
      {"{id: a, hosts: [a.test], addresses: [public]}", "no address and no range"},
      {"{id: a, hosts: [a.test], insecureSkipVerfy: true}", "did you mean \"insecureSkipVerify\"?"},
      {"{id: a, hosts: [a.test], result: {braces: yes please}}", "refuse or allow"},
      {"{id: a, hosts: [a.test], result: {charset: utf8}}", "text or any"},
  };
  for (const Case& one : cases) {
    const std::string text = std::string(
                                 "apiVersion: bulkhead.dev/v1alpha1\nkind: HttpEgressPolicy\nmetadata: {name: a}\n"
                                 "spec:\n  match: {namespaces: [\"*\"], templates: [\"*\"]}\n  allow:\n    - ") +
                             one.rule + "\n";
    EgressPolicies policies;
    const Status status = policies.Load(text, "e.yaml");
    ASSERT_FALSE(status.ok()) << one.rule;
    EXPECT_NE(status.error().message().find(one.reason), std::string::npos) << status.error().message();
    EXPECT_EQ(status.error().message().rfind("e.yaml:7:", 0), 0U) << status.error().message();
    EXPECT_TRUE(policies.empty());
  }
  EgressPolicies policies = Load(kPolicy);
  const Status again = policies.Load(kPolicy, "again.yaml");
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().message().find("is also at egress.yaml:2"), std::string::npos);
  EXPECT_TRUE(policies.Load("kind: MutationPolicy\nanything: goes\n", "m.yaml").ok()) << "another reader's";
}

}  // namespace
}  // namespace bulkhead::http

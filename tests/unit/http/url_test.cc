#include "runner/http/url.h"

#include <gtest/gtest.h>

#include "runner/http/address.h"
#include "runner/http/proxy.h"

namespace bulkhead::http {
namespace {

TEST(Url, HasOneReading) {
  struct Case {
    const char* text;
    const char* people;
    const char* host;
    uint16_t port;
    const char* target;
  };
  const Case cases[] = {
      {"http://example.com", "http://example.com/", "example.com", 80, "/"},
      {"HTTPS://Example.COM/a?b=c#d", "https://example.com/a", "example.com", 443, "/a?b=c"},
      {"http://example.com:8080/x", "http://example.com:8080/x", "example.com", 8080, "/x"},
      {"https://example.com:443/", "https://example.com/", "example.com", 443, "/"},
      {"http://192.0.2.1/", "http://192.0.2.1/", "192.0.2.1", 80, "/"},
      {"http://[2001:DB8::0:1]:81/", "http://[2001:db8::1]:81/", "2001:db8::1", 81, "/"},
      {"http://[::ffff:127.0.0.1]/", "http://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1", 80, "/"},
      {"http://h/a b\"{}", "http://h/a%20b%22%7B%7D", "h", 80, "/a%20b%22%7B%7D"},
      {"http://h/\xc3\xa9?q=\xc3\xa9", "http://h/%C3%A9", "h", 80, "/%C3%A9?q=%C3%A9"},
      {"http://h?x=1", "http://h/", "h", 80, "/?x=1"},
      {"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80, "/"},
      {"http://a_b.svc/%2e%2E/", "http://a_b.svc/%2e%2E/", "a_b.svc", 80, "/%2e%2E/"},
  };
  for (const Case& one : cases) {
    const auto url = ParseUrl(one.text);
    ASSERT_TRUE(url.ok()) << one.text << ": " << url.error().message();
    EXPECT_EQ(url->ForPeople(), one.people);
    EXPECT_EQ(url->host, one.host);
    EXPECT_EQ(url->port, one.port);
    EXPECT_EQ(url->Target(), one.target);
    EXPECT_EQ(url->address.has_value(), ParseAddress(one.host).has_value());
  }
}

TEST(Url, WhatTwoReadersCouldSeeDifferentlyIsRefused) {
  struct Case {
    const char* text;
    const char* reason;
  };
  const Case cases[] = {
      {"", "empty"},
      {"example.com/", "no scheme"},
      {"//example.com/", "no scheme"},
      {"file:///etc/passwd", "only http and https"},
      {"gopher://example.com/", "only http and https"},
      {"javascript:alert(1)", "only http and https"},
      {"http:example.com", "go on with //"},
      {"http:///path", "no host"},
      {"http://:80/", "no host"},
      {"http://user@example.com/", "user information"},
      {"http://user:pw@example.com/", "user information"},
      {"http://example.com@127.0.0.1/", "user information"},
      {"http://127.0.0.1\\@example.com/", "backslash"},
      {"http://example.com\\.evil.test/", "backslash"},
      {"http://example.com/\\evil.test", "backslash"},
      {"http://example.com\t/", "control character"},
      {"http://exam\nple.com/", "control character"},
      {"http://example.com./", "ends in a dot"},
      {"http://a..b/", "label that is empty"},
      {"http://-a.b/", "hyphen"},
      {"http://b\xc3\xbc"
       "cher.example/",
       "xn--"},
      {"http://\xe2\x85\xb7.example/", "xn--"},
      {"http://127\xe3\x80\x82"
       "0.0.1/",
       "xn--"},
      {"http://%31%32%37.0.0.1/", "may have letters"},
      {"http://2130706433/", "four decimal numbers"},
      {"http://017700000001/", "four decimal numbers"},
      {"http://0x7f000001/", "four decimal numbers"},
      {"http://0x7f.0.0.0x1/", "four decimal numbers"},
      {"http://0177.0.0.1/", "four decimal numbers"},
      {"http://127.1/", "four decimal numbers"},
      {"http://1.2.3.4.5/", "four decimal numbers"},
      {"http://127.0.0.256/", "four decimal numbers"},
      {"http://[fe80::1%25eth0]/", "zone"},
      {"http://[fe80::1%eth0]/", "zone"},
      {"http://fe80::1/", "no IPv6 address"},
      {"http://[::1/", "\"[\" without \"]\""},
      {"http://[::1]x/", "between"},
      {"http://[127.0.0.1]/", "no IPv6 address"},
      {"http://h:0/", "port"},
      {"http://h:65536/", "port"},
      {"http://h:/", "port"},
      {"http://h:+80/", "port"},
      {"http://h:80:81/", "no IPv6 address"},
      {"http://h/%zz", "%"},
      {"http://h/?a=%", "%"},
      {"http://a b/", "may have letters"},
  };
  for (const Case& one : cases) {
    const auto url = ParseUrl(one.text);
    ASSERT_FALSE(url.ok()) << one.text << " is " << url->ForPeople();
    EXPECT_NE(url.error().message().find(one.reason), std::string::npos) << one.text << ": " << url.error().message();
  }
  EXPECT_FALSE(ParseUrl("http://h/" + std::string(kLongestUrl, 'a')).ok());
  EXPECT_FALSE(ParseUrl(std::string("http://h\0.example/", 18)).ok());
}

TEST(Url, ALocationIsResolvedAgainstTheRequest) {
  const auto base = ParseUrl("https://h.example:8443/a/b/c?q#f");
  ASSERT_TRUE(base.ok());
  struct Case {
    const char* reference;
    const char* people;
    const char* query;
  };
  const Case cases[] = {
      {"http://other.example/x?y", "http://other.example/x", "?y"},
      {"//other.example/x", "https://other.example/x", ""},
      {"/x/../y/./z", "https://h.example:8443/y/z", ""},
      {"d", "https://h.example:8443/a/b/d", ""},
      {"../d?e=f", "https://h.example:8443/a/d", "?e=f"},
      {"../../../../d", "https://h.example:8443/d", ""},
      {"..", "https://h.example:8443/a/", ""},
      {"?r", "https://h.example:8443/a/b/c", "?r"},
      {"#g", "https://h.example:8443/a/b/c", "?q"},
  };
  for (const Case& one : cases) {
    const auto url = ResolveReference(*base, one.reference);
    ASSERT_TRUE(url.ok()) << one.reference << ": " << url.error().message();
    EXPECT_EQ(url->ForPeople(), one.people) << one.reference;
    EXPECT_EQ(url->query, one.query) << one.reference;
  }
  for (const char* bad : {"file:///etc/passwd", "gopher://h/", "//user@h/", "\\\\evil.test\\", "http://0x7f.1/", ""})
    EXPECT_FALSE(ResolveReference(*base, bad).ok()) << bad;
}

TEST(Address, EachLeadsToAKindOfPlace) {
  const std::pair<const char*, AddressKind> cases[] = {
      {"8.8.8.8", AddressKind::kPublic},
      {"172.32.0.1", AddressKind::kPublic},
      {"2606:4700::1111", AddressKind::kPublic},
      {"10.1.2.3", AddressKind::kPrivate},
      {"172.16.0.1", AddressKind::kPrivate},
      {"172.31.255.255", AddressKind::kPrivate},
      {"192.168.1.1", AddressKind::kPrivate},
      {"100.64.0.1", AddressKind::kPrivate},
      {"fd12::1", AddressKind::kPrivate},
      {"127.0.0.1", AddressKind::kLoopback},
      {"127.255.0.9", AddressKind::kLoopback},
      {"::1", AddressKind::kLoopback},
      {"169.254.1.1", AddressKind::kLinkLocal},
      {"fe80::1", AddressKind::kLinkLocal},
      {"169.254.169.254", AddressKind::kMetadata},
      {"169.254.170.2", AddressKind::kMetadata},
      {"100.100.100.200", AddressKind::kMetadata},
      {"168.63.129.16", AddressKind::kMetadata},
      {"fd00:ec2::254", AddressKind::kMetadata},
      {"fd20:ce::254", AddressKind::kMetadata},
      {"0.0.0.0", AddressKind::kSpecial},
      {"0.1.2.3", AddressKind::kSpecial},
      {"224.0.0.1", AddressKind::kSpecial},
      {"255.255.255.255", AddressKind::kSpecial},
      {"240.0.0.1", AddressKind::kSpecial},
      {"198.18.0.1", AddressKind::kSpecial},
      {"::", AddressKind::kSpecial},
      {"::ffff:127.0.0.1", AddressKind::kSpecial},
      {"::ffff:8.8.8.8", AddressKind::kSpecial},
      {"::127.0.0.1", AddressKind::kSpecial},
      {"2002:7f00:1::", AddressKind::kSpecial},
      {"2001:0:1::", AddressKind::kSpecial},
      {"fec0::1", AddressKind::kSpecial},
      {"ff02::1", AddressKind::kSpecial},
      {"64:ff9b::8.8.8.8", AddressKind::kPublic},
      {"64:ff9b::10.0.0.1", AddressKind::kPrivate},
      {"64:ff9b::169.254.169.254", AddressKind::kMetadata},
      {"64:ff9b:1::1", AddressKind::kSpecial},
  };
  for (const auto& [text, kind] : cases) {
    const auto address = ParseAddress(text);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(AddressKindName(KindOf(*address)), AddressKindName(kind)) << text;
  }
}

TEST(Address, ARangeHoldsWhatItsPrefixSays) {
  struct Case {
    const char* range;
    const char* in;
    const char* out;
  };
  for (const Case& one : {Case{"10.0.0.0/8", "10.255.0.1", "11.0.0.0"},
                          {"192.0.2.1", "192.0.2.1", "192.0.2.2"},
                          {"fd00::/8", "fdff::1", "fc00::1"},
                          {"0.0.0.0/0", "8.8.8.8", "::1"},
                          {"192.168.128.0/17", "192.168.200.1", "192.168.127.255"}}) {
    const auto range = ParseRange(one.range);
    ASSERT_TRUE(range.ok()) << one.range;
    EXPECT_TRUE(range->Contains(*ParseAddress(one.in))) << one.range;
    EXPECT_FALSE(range->Contains(*ParseAddress(one.out))) << one.range;
  }
  for (const char* bad :
       {"", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/08", "10.0.0.0/", "::/129", "10.0.0/8", "x", "10.0.0.0/8 "})
    EXPECT_FALSE(ParseRange(bad).ok()) << bad;
}

TEST(Proxy, IsChosenAsGoChoosesIt) {
  struct Case {
    const char* no_proxy;
    const char* url;
    bool proxied;
  };
  const Case cases[] = {
      {"", "http://example.com/", true},
      {"", "http://localhost/", false},
      {"", "http://127.0.0.1/", false},
      {"", "http://[::1]/", false},
      {"*", "http://example.com/", false},
      {"example.com", "http://example.com/", false},
      {"example.com", "http://a.example.com/", false},
      {"example.com", "http://badexample.com/", true},
      {".example.com", "http://example.com/", true},
      {" .EXAMPLE.com ", "http://a.example.com/", false},
      {"*.example.com", "http://a.example.com/", false},
      {"*.example.com", "http://example.com/", true},
      {"example.com:81", "http://example.com/", true},
      {"example.com:81", "http://example.com:81/", false},
      {"10.0.0.0/8", "http://10.1.2.3/", false},
      {"10.0.0.0/8", "http://11.1.2.3/", true},
      {"10.1.2.3", "http://10.1.2.3/", false},
      {"[2001:db8::1]:80", "http://[2001:db8::1]/", false},
      {"other, ,example.com", "http://example.com/", false},
  };
  for (const Case& one : cases) {
    const auto proxy = ProxyFor({"http://proxy.test:3128", "", one.no_proxy}, *ParseUrl(one.url));
    ASSERT_TRUE(proxy.ok());
    EXPECT_EQ(proxy->has_value(), one.proxied) << one.no_proxy << " and " << one.url;
  }
  const Url url = *ParseUrl("https://example.com/");
  EXPECT_FALSE((*ProxyFor({"http://p:1", "", ""}, url)).has_value()) << "HTTP_PROXY is not for https";
  EXPECT_EQ((*ProxyFor({"", "p.test:3128", ""}, url))->url.AuthorityWithPort(), "p.test:3128");
  EXPECT_EQ((*ProxyFor({"", "http://u:p%40@p.test:1/", ""}, url))->authorization, "Basic dTpwQA==");
  EXPECT_FALSE(ProxyFor({"", "socks5://p.test:1", ""}, url).ok());
  EXPECT_FALSE(ProxyFor({"", "https://p.test:1", ""}, url).ok());
}

}  // namespace
}  // namespace bulkhead::http

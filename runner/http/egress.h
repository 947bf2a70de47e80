// The egress policy: which servers HTTP templates may reach. Default is deny.
//
// Two pure decisions make one: DecideTarget before a name is resolved, DecideAddresses on every address that it
// resolved to, before any of them is connected to. Both are asked again for each redirect. As with mutation policies,
// every policy that matches the task must allow it. EGRESS.md is the page for policy authors.
//
// Immutable after loading; safe to use from many threads. No I/O but in LoadEgressPolicies, no clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"
#include "runner/base/result.h"
#include "runner/base/value.h"
#include "runner/http/address.h"
#include "runner/http/url.h"

namespace bulkhead::http {

enum class ResultText {
  kText,  // UTF-8 without control characters but tab and line ends, without bidirectional controls
  kAnyUtf8,
};

// One entry of spec.allow.
struct EgressRule {
  std::string id;
  std::string place;                 // "file:line"
  std::vector<std::string> hosts;    // canonical names and addresses; "*.example.com": any name below it
  std::vector<std::string> schemes;  // of "http", "https"
  std::vector<uint16_t> ports;       // empty: the scheme's own
  std::vector<std::string> methods;
  std::vector<AddressKind> kinds;       // beyond kPublic
  std::vector<AddressRange> addresses;  // beyond public ones
  bool insecure_skip_verify = false;
  bool via_proxy = false;
  ResultText text = ResultText::kText;
  bool braces = false;  // a result may hold "{{"

  bool HasHost(std::string_view host) const;
  bool HasPort(std::string_view scheme, uint16_t port) const;
};

struct EgressLimits {
  size_t response_bytes = 256U << 10U;
  std::chrono::nanoseconds timeout = std::chrono::minutes(5);
  int redirects = 10;  // Go's client follows as many
};

struct EgressPolicy {
  std::string name;
  std::string place;
  std::vector<std::string> namespaces;  // globs
  std::vector<std::string> templates;   // globs
  EgressLimits limits;
  std::vector<EgressRule> allow;

  bool Matches(std::string_view name_space, std::string_view template_name) const;
};

// Whose request it is.
struct EgressSubject {
  std::string_view name_space;
  std::string_view template_name;
};

struct EgressTarget {
  const Url* url = nullptr;
  std::string_view method;       // never empty
  std::string_view host_header;  // the host that a Host field of the template names; empty: the URL's
  bool insecure_skip_verify = false;
  bool via_proxy = false;
};

// What DecideTarget found: for each matching policy, the rules that the target satisfies.
struct EgressGrant {
  struct ByPolicy {
    const EgressPolicy* policy = nullptr;
    std::vector<const EgressRule*> rules;  // never empty
  };
  std::vector<ByPolicy> policies;  // never empty

  // What stands of the response: the strictest of what the rules say that DecideAddresses left.
  ResultText text() const;
  bool braces() const;
  // "policy/rule at file:line", joined by ", ".
  std::string Rules() const;
};

class EgressPolicies {
 public:
  // Adds every document of kind HttpEgressPolicy of a file's text; others are left to their own readers. All errors
  // in one message, a line each, "file:line:column: ...".
  Status Load(std::string_view text, std::string_view file);

  // The tightest limits of the policies that match; the defaults when none does.
  EgressLimits LimitsFor(const EgressSubject& subject) const;

  // kPermissionDenied with a sentence that names the rule, its place, or what to write. Borrows from this object.
  Result<EgressGrant> DecideTarget(const EgressSubject& subject, const EgressTarget& target) const;

  std::vector<std::string> Names() const;
  bool empty() const { return policies_.empty(); }

 private:
  std::vector<EgressPolicy> policies_;
};

// Keeps in `grant` the rules that admit all of `addresses`; kPermissionDenied when a policy is left without any. One
// refused address refuses the name: a name that also leads elsewhere is not trusted for its better half.
Status DecideAddresses(std::string_view host, const std::vector<IpAddress>& addresses, EgressGrant& grant);

// All errors in one message, a line each.
Result<EgressPolicies> LoadEgressPolicies(const std::vector<policy::PolicyText>& texts);
// Of the files and folders as policy::ReadPolicyTexts reads them.
Result<EgressPolicies> LoadEgressPolicies(const std::vector<std::string>& paths);

}  // namespace bulkhead::http

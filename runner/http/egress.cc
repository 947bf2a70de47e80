#include "runner/http/egress.h"

#include <algorithm>

#include "policy/rules.h"
#include "runner/base/text.h"

namespace bulkhead::http {

namespace {

template <typename T, typename U>
bool Contains(const std::vector<T>& list, const U& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

Error Refused(std::string reason) {
  return Error(Code::kPermissionDenied, std::move(reason));
}

std::string RuleName(const EgressPolicy& policy, const EgressRule& rule) {
  return policy.name + "/" + rule.id + " at " + rule.place;
}

std::string SuggestedRule(const EgressTarget& target) {
  const Url& url = *target.url;
  std::string rule = "{id: ..., hosts: [\"" + url.host + "\"], schemes: [" + std::string(url.scheme()) +
                     "], methods: [" + EscapeForTerminal(target.method) + "]";
  if (!url.has_default_port()) rule += ", ports: [" + std::to_string(url.port) + "]";
  if (target.insecure_skip_verify) rule += ", insecureSkipVerify: true";
  if (target.via_proxy) rule += ", viaProxy: true";
  return rule + "}";
}

// Why a rule does not admit the target, as the rest of a sentence; empty when it does. In the order in which a
// difference is the less surprising one.
std::string Violation(const EgressRule& rule, const EgressTarget& target) {
  const Url& url = *target.url;
  if (!rule.HasHost(url.host)) return "is for other hosts";
  if (!Contains(rule.schemes, url.scheme())) return "does not allow scheme " + std::string(url.scheme());
  if (!rule.HasPort(url.scheme(), url.port)) return "does not allow port " + std::to_string(url.port);
  if (!Contains(rule.methods, target.method)) return "does not allow method " + EscapeForTerminal(target.method);
  if (!target.host_header.empty() && !rule.HasHost(target.host_header))
    return "is not for the host \"" + std::string(target.host_header) + "\" that the Host header names";
  if (target.insecure_skip_verify && !rule.insecure_skip_verify)
    return "does not allow insecureSkipVerify (insecureSkipVerify: true would)";
  if (target.via_proxy && !rule.via_proxy)
    return "does not allow a proxy, which HTTP_PROXY or HTTPS_PROXY names (viaProxy: true would, or NO_PROXY)";
  return "";
}

Status DecideByPolicy(const EgressPolicy& policy, const EgressTarget& target, EgressGrant::ByPolicy& grant) {
  const EgressRule* nearest = nullptr;
  std::string reason;
  for (const EgressRule& rule : policy.allow) {
    std::string violation = Violation(rule, target);
    if (violation.empty()) {
      grant.rules.push_back(&rule);
    } else if (nearest == nullptr && rule.HasHost(target.url->host)) {
      nearest = &rule;
      reason = std::move(violation);
    }
  }
  if (!grant.rules.empty()) return OkStatus();
  const std::string what = "request to " + target.url->AuthorityWithPort() + " refused: ";
  if (nearest != nullptr) return Refused(what + "rule " + RuleName(policy, *nearest) + " " + reason);
  return Refused(what + "no rule of egress policy " + policy.name + " at " + policy.place +
                 " allows it; to allow it, write under spec.allow: " + SuggestedRule(target));
}

// Whether a rule opens the way to an address. A metadata address only by a range that is this very address: no wide
// range opens by oversight what hands out credentials.
bool Admits(const EgressRule& rule, const IpAddress& address) {
  const AddressKind kind = KindOf(address);
  if (kind == AddressKind::kPublic || Contains(rule.kinds, kind)) return true;
  return std::any_of(rule.addresses.begin(), rule.addresses.end(), [&](const AddressRange& range) {
    return range.Contains(address) && (range.is_single() || kind != AddressKind::kMetadata);
  });
}

std::string WhatOpens(AddressKind kind, const IpAddress& address) {
  if (kind == AddressKind::kMetadata || kind == AddressKind::kSpecial) return "\"" + FormatAddress(address) + "\"";
  return "\"" + FormatAddress(address) + "\", a range, or " + std::string(AddressKindName(kind));
}

}  // namespace

bool EgressRule::HasHost(std::string_view host) const {
  return std::any_of(hosts.begin(), hosts.end(), [&](const std::string& pattern) {
    if (!pattern.starts_with("*.")) return pattern == host;
    const std::string_view suffix = std::string_view(pattern).substr(1);
    return host.size() > suffix.size() && host.ends_with(suffix);
  });
}

bool EgressRule::HasPort(std::string_view scheme, uint16_t port) const {
  if (ports.empty()) return port == (scheme == "https" ? 443 : 80);
  return Contains(ports, port);
}

bool EgressPolicy::Matches(std::string_view name_space, std::string_view template_name) const {
  const auto any = [](const std::vector<std::string>& globs, std::string_view text) {
    return std::any_of(globs.begin(), globs.end(),
                       [&](const std::string& glob) { return policy::GlobMatches(glob, text); });
  };
  return any(namespaces, name_space) && any(templates, template_name);
}

ResultText EgressGrant::text() const {
  for (const ByPolicy& policy : policies) {
    const bool any = std::any_of(policy.rules.begin(), policy.rules.end(),
                                 [](const EgressRule* rule) { return rule->text == ResultText::kAnyUtf8; });
    if (!any) return ResultText::kText;
  }
  return ResultText::kAnyUtf8;
}

bool EgressGrant::braces() const {
  return std::all_of(policies.begin(), policies.end(), [](const ByPolicy& policy) {
    return std::any_of(policy.rules.begin(), policy.rules.end(), [](const EgressRule* rule) { return rule->braces; });
  });
}

std::string EgressGrant::Rules() const {
  std::vector<std::string> names;
  for (const ByPolicy& policy : policies) names.push_back(RuleName(*policy.policy, *policy.rules.front()));
  return Join(names, ", ");
}

EgressLimits EgressPolicies::LimitsFor(const EgressSubject& subject) const {
  EgressLimits limits;
  bool any = false;
  for (const EgressPolicy& policy : policies_) {
    if (!policy.Matches(subject.name_space, subject.template_name)) continue;
    if (!any) limits = policy.limits;
    any = true;
    limits.response_bytes = std::min(limits.response_bytes, policy.limits.response_bytes);
    limits.timeout = std::min(limits.timeout, policy.limits.timeout);
    limits.redirects = std::min(limits.redirects, policy.limits.redirects);
  }
  return limits;
}

Result<EgressGrant> EgressPolicies::DecideTarget(const EgressSubject& subject, const EgressTarget& target) const {
  EgressGrant grant;
  for (const EgressPolicy& policy : policies_) {
    if (!policy.Matches(subject.name_space, subject.template_name)) continue;
    EgressGrant::ByPolicy by_policy;
    by_policy.policy = &policy;
    BULKHEAD_TRY(DecideByPolicy(policy, target, by_policy));
    grant.policies.push_back(std::move(by_policy));
  }
  if (!grant.policies.empty()) return grant;
  return Refused("request to " + target.url->AuthorityWithPort() + " refused: " +
                 (policies_.empty() ? "no egress policy was given" : "no egress policy matches this template") +
                 ", so HTTP templates may reach nothing: write an HttpEgressPolicy with spec.match: {namespaces: [\"" +
                 std::string(subject.name_space) + "\"], templates: [\"" + EscapeForTerminal(subject.template_name) +
                 "\"]} and spec.allow: [" + SuggestedRule(target) + "]");
}

Status DecideAddresses(std::string_view host, const std::vector<IpAddress>& addresses, EgressGrant& grant) {
  if (addresses.empty()) return Refused("request to " + std::string(host) + " refused: the name has no address");
  for (EgressGrant::ByPolicy& policy : grant.policies) {
    const EgressRule* const first = policy.rules.front();
    for (const IpAddress& address : addresses) {
      std::erase_if(policy.rules, [&](const EgressRule* rule) { return !Admits(*rule, address); });
      if (!policy.rules.empty()) continue;
      const AddressKind kind = KindOf(address);
      const std::string which = FormatAddress(address) == host ? "" : " resolves to " + FormatAddress(address) + ",";
      return Refused("request to " + std::string(host) + " refused: it" + (which.empty() ? " is" : which) + " a " +
                     std::string(AddressKindName(kind)) + " address, which rule " + RuleName(*policy.policy, *first) +
                     " does not list; to allow it, add to the rule: addresses: [...] with " + WhatOpens(kind, address));
    }
  }
  return OkStatus();
}

}  // namespace bulkhead::http

// Lints of whom a policy is for, and for how long.
#include <algorithm>
#include <array>

#include "policy/tools/lint.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

constexpr int64_t kDay = 86'400;
constexpr int64_t kLongestAudit = 90 * kDay;

bool Has(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool ListsMeet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const std::string& one) {
    return std::any_of(b.begin(), b.end(), [&](const std::string& other) { return GlobsMeet(one, other); });
  });
}

// DNS labels (RFC 1123), which is what Kubernetes asks of namespaces and Argo of plugins' names.
bool CanBeName(std::string_view glob) {
  return !glob.empty() && std::all_of(glob.begin(), glob.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '*';
  });
}

void LintSelectors(const Policy& policy, LintSink& sink) {
  const Match& match = policy.match;
  if (match.plugin == "*")
    sink.Add(policy, "W041", match.plugin_at, "the policy is for every plugin: name the one it was written for");
  if (!policy.unprotect.empty() && Has(match.namespaces, "*"))
    sink.Add(policy, "W041", match.namespaces_at,
             "the policy unprotects paths in every namespace: name the namespaces");
  if (match.digest.empty() && !match.plugin.empty()) {
    sink.Add(policy, "W042", match.plugin_at,
             "the plugin is known by its name only: pin its image with match.plugin.digest");
  }
  if (!match.plugin.empty() && !CanBeName(match.plugin)) {
    sink.Add(policy, "E044", match.plugin_at,
             "no plugin can have the name \"" + EscapeForTerminal(match.plugin) + "\": names are in lower case");
  }
  for (const std::string& name_space : match.namespaces) {
    if (CanBeName(name_space)) continue;
    sink.Add(policy, "E044", match.namespaces_at,
             "no namespace can have the name \"" + EscapeForTerminal(name_space) + "\": names are in lower case");
  }
}

void LintTimes(const Policy& policy, int64_t now, LintSink& sink) {
  if (policy.mode != Mode::kEnforce && policy.expires.has_value()) {
    if (policy.expires->Passed(now)) {
      sink.Add(policy, "W051", policy.expires_at,
               "mode " + std::string(ModeName(policy.mode)) + " ended on " + policy.expires->text +
                   ": the policy is enforced since; write mode: enforce");
    } else if (policy.expires->ends - now > kLongestAudit + kDay) {
      sink.Add(policy, "E050", policy.expires_at,
               "mode " + std::string(ModeName(policy.mode)) + " lasts until " + policy.expires->text +
                   ", which is over 90 days away: nothing is refused until then");
    }
  }
  for (const Unprotect& one : policy.unprotect) {
    if (!one.expires.Passed(now)) continue;
    sink.Add(policy, "E052", one.expires_at,
             "the unprotect of " + one.path.text() + " expired on " + one.expires.text + ": remove it, or decide anew");
  }
  if (policy.review_by.has_value() && policy.review_by->Passed(now)) {
    sink.Add(policy, "W054", policy.review_by_at,
             "the policy was to be reviewed by " + policy.review_by->text + ": review it and move the date");
  }
  if (policy.owner.empty())
    sink.Add(policy, "W055", policy.name_at, "nobody owns the policy: add metadata.owner, for whoever it refuses");
}

void LintOnDeny(const Policy& policy, LintSink& sink) {
  if (policy.on_deny != OnDeny::kDropReply) return;
  for (const std::string_view rpc : {"template.execute", "node.preExecute"}) {
    if (!Has(policy.match.rpcs, rpc)) continue;
    sink.Add(policy, "W053", policy.on_deny_at,
             "with drop-reply a refused reply to " + std::string(rpc) +
                 " leaves its node as it was, which may be for ever: use fail-node");
  }
}

void LintPairs(std::span<const Policy> policies, LintSink& sink) {
  for (size_t i = 0; i < policies.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Match& a = policies[i].match;
      const Match& b = policies[j].match;
      const bool same_digest = a.digest.empty() || b.digest.empty() || a.digest == b.digest;
      if (!same_digest || !GlobsMeet(a.plugin, b.plugin) || !ListsMeet(a.rpcs, b.rpcs) ||
          !ListsMeet(a.namespaces, b.namespaces) || !ListsMeet(a.templates, b.templates))
        continue;
      size_t shared = 0;
      std::string example;
      for (const Rule& rule : policies[i].allow) {
        for (const Rule& other : policies[j].allow) {
          if (!rule.path.Covers(other.path) && !other.path.Covers(rule.path)) continue;
          ++shared;
          if (!example.empty()) break;
          example = rule.path.Covers(other.path) ? other.path.text() : rule.path.text();
          break;
        }
      }
      sink.Add(policies[i], "W043", a.plugin_at,
               "policy " + policies[j].name + " (" + policies[j].Place() +
                   ") can match the same call, and then both must allow each change: " +
                   (shared == 0 ? "they have no path in common, so nothing passes"
                                : "they have " + std::to_string(shared) + (shared == 1 ? " path" : " paths") +
                                      " in common, such as " + example));
    }
  }
}

}  // namespace

void LintMatch(std::span<const Policy> policies, int64_t now, LintSink& sink) {
  for (const Policy& policy : policies) {
    LintSelectors(policy, sink);
    LintTimes(policy, now, sink);
    LintOnDeny(policy, sink);
  }
  LintPairs(policies, sink);
}

}  // namespace bulkhead::policy::tools

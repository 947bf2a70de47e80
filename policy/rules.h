// The document model: a policy file as read, with the place of each element. Plain data, copyable, so that tools
// can take a policy apart, change it and make a PolicySet of the result (PolicySet::FromPolicies).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/constraint.h"
#include "policy/path.h"
#include "runner/base/diagnostic.h"
#include "runner/base/value.h"

namespace bulkhead::expr {
class Program;
}

namespace bulkhead::policy {

constexpr std::string_view kApiVersion = "bulkhead.dev/v1alpha1";
constexpr std::string_view kOldApiVersion = "mutation.policy/v1";  // means the same

enum class Op : uint8_t { kAdd, kChange, kRemove };
std::string_view OpName(Op op);  // "add", "change", "remove"

enum class Mode : uint8_t { kEnforce, kWarn, kAudit };
std::string_view ModeName(Mode mode);

// In the order of their weight: when several policies match, the heaviest holds.
enum class OnDeny : uint8_t { kDropReply, kFailNode, kFailWorkflow };
std::string_view OnDenyName(OnDeny on_deny);  // "drop-reply", ...

// A day as "2026-12-31". What expires on it holds until its end, UTC.
struct Date {
  std::string text;
  int64_t ends = 0;  // seconds since 1970: the first that is after it

  bool Passed(int64_t now) const { return now >= ends; }
  static std::optional<Date> Parse(std::string_view text);
};

// An expression of the CEL subset (policy/expr/README.md).
struct Expression {
  std::string source;
  Position at;
  std::shared_ptr<const expr::Program> program;  // shared by copies of the rule; never null after loading
};

// An element of `allow`, `deny` or `require`.
struct Rule {
  std::string id;
  Position at;  // of the mapping
  PathPattern path;
  Position path_at;
  bool add = true, change = true, remove = false;  // deny and require: all three
  Position op_at;                                  // line 0: not given
  std::optional<Constraint> value;                 // unset: any; never set in require
  Position value_at;
  std::optional<Expression> when;  // allow and deny: the rule counts only when it is true
  std::string note;                // for people
  std::string message;             // deny and require
  bool log_value = false;          // `log: value`: values of this leaf may stand in audit records

  bool Covers(Op op) const { return op == Op::kAdd ? add : op == Op::kChange ? change : remove; }
};

struct Check {
  std::string id;
  Position at;
  Expression expr;
  std::string message;
};

struct Unprotect {
  ProtectedSet set = ProtectedSet::kNone;
  PathPattern path;
  std::string reason;
  Date expires;
  Position at, path_at, expires_at;
};

// Globs: '*' stands for any run of characters.
struct Match {
  std::string plugin;
  std::string digest;  // "sha256:..." of the plugin's image; empty: any
  std::vector<std::string> rpcs;
  std::vector<std::string> namespaces;
  std::vector<std::string> templates;
  std::vector<std::pair<std::string, std::string>> workflow_labels;  // label to glob of its value
  Position at, plugin_at, digest_at, rpc_at, namespaces_at, templates_at, workflow_labels_at;
};

constexpr size_t kDefaultStringBytes = 256U << 10U;
constexpr size_t kDefaultRequeues = 10'000;

struct Limits {
  size_t reply_bytes = SIZE_MAX;
  size_t depth = SIZE_MAX;  // nested lists and mappings
  size_t items = SIZE_MAX;  // in one list or mapping of free keys
  size_t string_bytes = kDefaultStringBytes;
  size_t requeues = kDefaultRequeues;  // how often one task may be called again
  Position at;                         // line 0: not given
};

enum class Transport : uint8_t { kMtls, kPlaintextLoopback };

struct Policy {
  std::string file;
  Position at;
  std::string api_version;

  std::string name;
  std::string owner;                         // for people
  std::optional<Date> review_by;             // for people
  Position name_at, owner_at, review_by_at;  // line 0: not given

  Mode mode = Mode::kEnforce;
  std::optional<Date> expires;  // of mode warn and audit: enforced after it
  OnDeny on_deny = OnDeny::kFailNode;
  Transport transport = Transport::kMtls;
  Position mode_at, expires_at, on_deny_at, transport_at;

  Match match;
  Limits limits;
  std::vector<Unprotect> unprotect;
  std::vector<Rule> allow, deny, require;
  std::vector<Check> checks;

  // "file:line" of the policy, and of a place in it.
  std::string Place() const { return PlaceOf(at); }
  std::string PlaceOf(Position position) const { return file + ":" + std::to_string(position.line); }
};

bool GlobMatches(std::string_view glob, std::string_view text);

// Every document of a file, as far as it could be read; what is wrong goes to `diagnostics`, all of it in one pass.
// With an error among them, the policies are fit for lints only, not for PolicySet::FromPolicies.
std::vector<Policy> ReadPolicies(std::string_view text, Diagnostics& diagnostics);

}  // namespace bulkhead::policy

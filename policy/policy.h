// The mutation policy: which changes a plugin's reply may make. Default is deny.
//
// A PolicySet is immutable after loading and is safe to use from many threads. Evaluation does no I/O,
// reads no clock and never throws.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::policy {

enum class Op { kAdd, kChange, kRemove };
std::string_view OpName(Op op);  // "add", "change", "remove"

// One leaf change: what a reply would do to the state that was sent.
struct Mutation {
  Op op = Op::kAdd;
  std::string path;                  // "node.outputs.parameters[ts].value", "requeue"
  const Value* old_value = nullptr;  // borrowed from the sent state; null for kAdd
  const Value* new_value = nullptr;  // borrowed from the reply; null for kRemove
  std::string_view guard = {};       // the protected set that the leaf belongs to; empty: a policy may allow it
};

// The leaf changes from `before` to `after` (both objects in the form of a reply: {"node": {...},
// "requeue": ...}). Keyed lists (parameters, artifacts) are matched by `name`. The result borrows from
// both. An error names a duplicate or missing `name`, which no policy can allow.
Result<std::vector<Mutation>> Diff(const Value& before, const Value& after);

// Where a call stands; selects the policies that apply.
struct Subject {
  std::string_view plugin;
  std::string_view rpc;  // "template.execute"
  std::string_view name_space;
  std::string_view workflow;
  std::string_view template_name;
};

struct RuleRef {
  std::string policy;  // metadata.name
  std::string rule;    // rule id; or the name of a built-in such as "argo.values"; or "default-deny"
  std::string place;   // "file:line" or "" for a built-in
};

struct Verdict {
  Op op = Op::kAdd;
  std::string path;
  bool allowed = false;
  RuleRef by;          // the allowing rule, or the rule, built-in or default that refused
  std::string reason;  // refused: a sentence with what to write; never holds the value itself
};

struct Decision {
  bool allowed = false;           // every mutation allowed; anything else refuses the whole reply
  std::vector<Verdict> verdicts;  // one a mutation, in the order given; may be preceded by whole-reply refusals
  size_t allowed_count = 0;
  size_t refused_count = 0;
};

// The reply as a whole, for spec.limits and spec.require.
struct ReplyFacts {
  size_t bytes = 0;                  // of the reply's body
  size_t depth = 0;                  // nested lists and mappings of the decoded reply
  size_t items = 0;                  // in its longest list
  const Value* effective = nullptr;  // borrowed: the state after the reply, in the form of a reply
};
ReplyFacts MeasureReply(const Value& document, size_t bytes, const Value& effective);

class PolicySet {
 public:
  // No policy at all: refuses everything, saying that no policy was given and how to write one.
  PolicySet();
  PolicySet(PolicySet&&) noexcept;
  PolicySet& operator=(PolicySet&&) noexcept;
  ~PolicySet();

  // Adds every document of a file's text. All errors of the file are reported in one message, a line
  // each, "file:line:column: what (did you mean ...)"; nothing is added then.
  Status Load(std::string_view text, std::string_view file);

  Decision Decide(const Subject& subject, const std::vector<Mutation>& mutations, const ReplyFacts& facts) const;

  // Names of loaded policies, in order.
  std::vector<std::string> Names() const;
  bool empty() const;
  // SHA-256 (hex) over all loaded texts in order, for audit records.
  std::string Digest() const;

  // True when at least one policy matches the plugin and namespace, and every one that does says
  // `transport: plaintext-loopback`.
  bool AllowsPlaintextLoopback(std::string_view plugin, std::string_view name_space) const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

// Reads a file, or every *.yaml and *.yml of a folder in name order, into a set.
Result<PolicySet> LoadPolicies(const std::vector<std::string>& paths);

}  // namespace bulkhead::policy

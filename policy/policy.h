// The mutation policy: which changes a plugin's reply may make. Default is deny.
//
//   PolicySet   the loaded policies, indexed. Immutable once loaded; safe to read from many threads.
//   Evaluator   bytes in, decision and canonical bytes out. One for each thread; keeps its scratch between calls.
//
// A decision does no I/O, reads no clock, never throws, and its cost is bounded by the size of the reply.
//
// How a reply is judged:
//   1. strict decoding (policy/decode.h): what a Go reader would see otherwise is refused;
//   2. the effective next state: the reply merged into what was sent (JSON merge patch: null removes; lists are
//      replaced as a whole);
//   3. its difference from what was sent, leaf by leaf; keyed lists by `name`, never by place;
//   4. each change needs, in every policy that matches, an allow and no deny; it must be in no protected set that
//      the policy does not unprotect; its value must be harmless; a transition must be one that Argo's nodes make;
//   5. then limits, `require` and `checks`.
// All violations are listed; any one refuses the whole reply. No policy that matches refuses everything. An error of
// an expression refuses, in every mode. Modes warn and audit turn refusals by rules, limits, require and checks into
// advice until they expire; they never loosen 1., protected sets, value guards or transitions.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/rules.h"
#include "policy/schema/schema.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::policy {

// Where a call stands; selects the policies that apply. Borrowed for the time of a decision.
struct Subject {
  std::string_view plugin;
  std::string_view rpc;  // "template.execute"; an unknown one is refused
  std::string_view name_space;
  std::string_view workflow;
  std::string_view template_name;
  std::string_view plugin_digest = {};     // "sha256:..."; empty: not known, which no pinned policy matches
  const Value* workflow_labels = nullptr;  // an object of strings; null: none
};

// All that a decision depends on besides the reply and the policies. Borrowed for the time of a decision.
struct Call {
  Subject subject;
  // The state before, in the form of a reply: {"node": {...}}, {"workflow": {"metadata": {...}, "spec": {...}}},
  // {"parameters": {...}}. Fields that the schema does not have are left alone. Null: nothing.
  const Value* sent = nullptr;
  const Value* template_spec = nullptr;  // the template that was sent, for `declared` and expressions; null: none
  int64_t now = 0;                       // seconds since 1970, for expiries
  uint32_t requeues = 0;                 // how often the task was called again before this reply
};

struct RuleRef {
  std::string policy;  // metadata.name; empty for a built-in
  std::string
      rule;  // rule id; "limits.items"; a built-in such as "argo.values", "decode.duplicate-key"; "default-deny"
  std::string place;  // "file:line"; empty for a built-in
};

struct Verdict {
  Op op = Op::kAdd;
  bool allowed = false;
  // Allowed only because its policy is in mode warn or audit: `by` and `reason` say what would refuse it.
  bool advice = false;
  bool whole = false;  // of the reply as a whole (limits, require, checks), not of a change: `op` says nothing then
  std::string path;    // of the leaf; of a `require`, the one that is missing; empty: no leaf is meant
  RuleRef by;          // the allowing rule, or the rule, built-in or default that refused
  std::string reason;  // unless plainly allowed: a sentence with what to write; never holds the value itself
  std::string value;   // the new value as JSON, where the allowing rule says `log: value`; empty otherwise
  // Borrowed from the PolicySet; null for built-ins.
  const Policy* policy = nullptr;
  const Rule* rule = nullptr;
};

struct Decision {
  enum class Kind : uint8_t {
    kNotMine,  // the reply changes nothing by its own word: `{}`, `null`, no body
    kAllowed,
    kRefused,
  };
  Kind kind = Kind::kRefused;
  bool by_decode = false;  // kRefused: the bytes were refused before any policy was asked
  OnDeny on_deny = OnDeny::kFailNode;
  // In the order of the reply: one for each changed leaf and matching policy that refuses it, or one for an allowed
  // leaf; refusals of the reply as a whole come last.
  std::span<const Verdict> verdicts;
  size_t allowed = 0;
  size_t refused = 0;
  size_t advised = 0;  // among the allowed ones
  // kAllowed: the effective state in the form of a reply as canonical JSON: known fields only, keys in order,
  // numbers as lexemes, empty structs left out. Never plugin bytes.
  std::string_view canonical;
  std::optional<std::chrono::nanoseconds> requeue;  // kAllowed
};

class PolicySet {
 public:
  // No policy at all: refuses everything, saying that no policy was given and how to write one.
  PolicySet();
  PolicySet(PolicySet&&) noexcept;
  PolicySet& operator=(PolicySet&&) noexcept;
  ~PolicySet();

  // Policies that a tool made or changed. Names must differ.
  static Result<PolicySet> FromPolicies(std::vector<Policy> policies);

  // Adds every document of a file's text. All errors of the file are reported in one message, a line
  // each, "file:line:column: what (did you mean ...)"; nothing is added then.
  Status Load(std::string_view text, std::string_view file);

  const std::vector<Policy>& policies() const;
  std::vector<std::string> Names() const;  // in order
  bool empty() const;
  // SHA-256 (hex) over all loaded texts in order, for audit records.
  std::string Digest() const;

  // True when at least one policy matches the plugin and namespace, and every one that does says
  // `transport: plaintext-loopback`.
  bool AllowsPlaintextLoopback(std::string_view plugin, std::string_view name_space) const;

  // True when a policy looks at what was sent besides the state: labels of the workflow, the template, expressions.
  // Otherwise Call::template_spec and Subject::workflow_labels may be left out.
  bool LooksAtRequest() const;

  struct State;
  const State& state() const { return *state_; }  // for the evaluator

 private:
  Status Add(std::vector<Policy> policies);

  std::unique_ptr<State> state_;
};

// Not thread-safe; evaluators are independent of each other. After a warm-up, Decide allocates only when an
// expression is evaluated.
class Evaluator {
 public:
  Evaluator();
  Evaluator(Evaluator&&) noexcept;
  Evaluator& operator=(Evaluator&&) noexcept;
  ~Evaluator();

  // The decision lives until the next call. `reply` and what `call` borrows may go before it.
  const Decision& Decide(const PolicySet& policies, const Call& call, std::string_view reply);

  // After a Decide that allowed, while `reply` and what `call` borrows still live:
  // the effective state in the form of a reply, and the changes alone as a JSON merge patch in the form of a reply
  // (null for what is removed; a keyed list with a change in it is there as a whole).
  Value Effective() const;
  Value MergePatch() const;

  struct Scratch;

 private:
  std::unique_ptr<Scratch> scratch_;
};

// A file of policies, as it was read. Readers of several kinds of documents are given the same texts, so that they
// cannot see different states of a file.
struct PolicyText {
  std::string file;
  std::string text;
};

// Reads files; a folder stands for its *.yaml and *.yml, as ExpandFolders has it. All errors in one message, a line
// each.
Result<std::vector<PolicyText>> ReadPolicyTexts(const std::vector<std::string>& paths);

// All errors in one message, a line each.
Result<PolicySet> LoadPolicies(const std::vector<PolicyText>& texts);
// Of the files and folders as ReadPolicyTexts reads them.
Result<PolicySet> LoadPolicies(const std::vector<std::string>& paths);

}  // namespace bulkhead::policy

// What one decision works on, and its steps. Internal to Evaluator: evaluate.cc decides on the reply as a whole,
// evaluate_change.cc on each change.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/changes.h"
#include "policy/decode.h"
#include "policy/expression.h"
#include "policy/guards.h"
#include "policy/index.h"
#include "policy/policy.h"

namespace bulkhead::policy {

inline bool IsNodeRpc(Rpc rpc) {
  return rpc == Rpc::kTemplateExecute || rpc == Rpc::kNodePreExecute;
}

inline void AppendNumber(size_t number, std::string& out) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), end.ptr);
}

struct Evaluator::Scratch final : FaultSink {
  const PolicySet::State* state = nullptr;
  const Call* call = nullptr;
  Rpc rpc = Rpc::kTemplateExecute;
  const StructSpec* spec = nullptr;

  Decoder decoder;
  Differ differ;
  ExpressionInput expressions;
  std::vector<uint32_t> matching;
  std::vector<Verdict> pool;  // never shrinks: its strings keep their memory
  size_t used = 0;
  std::string canonical;
  Decision decision;

  // Of the change that is judged.
  TextFindings text;
  size_t longest = 0;

  Verdict& NewVerdict() {
    if (used == pool.size()) pool.emplace_back();
    Verdict& verdict = pool[used++];
    verdict.op = Op::kAdd;
    verdict.allowed = false;
    verdict.advice = false;
    verdict.whole = false;
    verdict.path.clear();
    verdict.by.policy.clear();
    verdict.by.rule.clear();
    verdict.by.place.clear();
    verdict.reason.clear();
    verdict.value.clear();
    verdict.policy = nullptr;
    verdict.rule = nullptr;
    return verdict;
  }

  // Of the reply as a whole, by what stands in a policy. Advice unless the policy enforces.
  Verdict& NewWholeVerdict(const Policy& policy, std::string_view rule, std::string_view place) {
    Verdict& verdict = NewVerdict();
    verdict.whole = true;
    verdict.by.policy = policy.name;
    verdict.by.rule = rule;
    verdict.by.place = place;
    verdict.policy = &policy;
    verdict.advice = verdict.allowed = !Enforces(policy);
    return verdict;
  }

  void Fault(std::string_view id, std::string_view path, std::string_view message) override {
    Verdict& verdict = NewVerdict();
    verdict.path = path;
    verdict.by.rule = id;
    verdict.reason = message;
  }

  // Whether refusals of the policy's own rules refuse, or only advise.
  bool Enforces(const Policy& policy) const {
    return policy.mode == Mode::kEnforce || !policy.expires.has_value() || policy.expires->Passed(call->now);
  }

  const Policy& PolicyAt(uint32_t position) const { return state->policies[position]; }
  const CompiledPolicy& CompiledAt(uint32_t position) const { return state->compiled[position]; }

  void Decide(const PolicySet& policies, const Call& one_call, std::string_view reply);
  bool ReplyIsTooLong(std::string_view reply);
  bool IsMine() const;
  void JudgeChanges();
  void JudgeChange(const Change& change);
  bool RefusedByGuards(const Change& change);
  bool RefusedByTransition(const Change& change);
  bool RefusedByValue(const Change& change);
  bool IsUnprotected(const Change& change) const;

  struct Finding {
    enum class Kind : uint8_t { kAllowed, kRefused, kFailed };  // kFailed: in every mode
    Kind kind = Kind::kRefused;
    const Rule* rule = nullptr;  // null: no rule speaks of the leaf
    std::string_view place;
    std::string_view guard;  // not a rule but this built-in refuses
  };
  Finding JudgeBy(uint32_t position, const Change& change, const LeafKey& key, std::string& why);
  // A refusal that is only advice must not let through what the guards leave to a rule: no rule allows it.
  Finding Guarded(const Policy& policy, const Change& change, Finding finding, std::string& why) const;
  bool DenyHits(const Rule& rule, const Change& change, const ValueContext& context, Finding& finding,
                std::string& why);
  bool RuleAllows(const Rule& rule, const Change& change, const ValueContext& context, Finding& finding,
                  std::string& why);
  // What the guards leave to a rule: line ends need charset text, Skipped and Omitted need to be named.
  std::string_view NeedsMore(const Rule* rule, const Change& change, std::string_view& guard) const;
  bool IsTrue(const std::optional<Expression>& when, Finding& finding, std::string& why);

  void RefuseByBuiltIn(const Change& change, std::string_view guard, std::string_view reason,
                       std::string_view rest = {});
  void RefuseByDefault(const Change* change);
  void JudgeReply();
  void CheckLimits(uint32_t position);
  void CheckRequired(uint32_t position);
  void RunChecks(uint32_t position);
  void Finish();
};

}  // namespace bulkhead::policy

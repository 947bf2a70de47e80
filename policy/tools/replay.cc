#include "policy/tools/replay.h"

#include <algorithm>

#include "policy/tools/explain.h"

namespace bulkhead::policy::tools {

namespace {

constexpr size_t kMostDifferent = 10'000;
constexpr size_t kMostText = 1'024;  // of a path or a name that is kept

// What is kept of a text of the log.
std::string Kept(std::string_view text) {
  return std::string(text.substr(0, kMostText));
}

Subject SubjectOf(const LoggedCall& call) {
  Subject subject;
  subject.plugin = call.plugin;
  subject.rpc = call.method;
  subject.name_space = call.name_space;
  subject.workflow = call.workflow;
  subject.template_name = call.template_name;
  return subject;
}

// Whether the policy matches, as far as the log tells: digests and labels are not in it.
bool MayMatch(const Policy& policy, const Subject& subject) {
  Policy named;
  named.match = policy.match;
  named.match.digest.clear();
  named.match.workflow_labels.clear();
  return MatchesCall(named, subject);
}

bool IsBuiltIn(std::string_view rule) {
  return rule.starts_with("argo.") || rule.starts_with("decode.");
}

}  // namespace

Replay::Replay(const PolicySet& policies) : policies_(policies) {}

Replay::Answer Replay::AskOne(const Policy& policy, const LoggedChange& change) {
  Answer answer;
  answer.by = "default-deny";
  answer.place = policy.Place();
  const auto admits = [&](const Rule& rule) -> std::optional<bool> {
    // An expression may look at anything.
    if (rule.when.has_value()) return std::nullopt;
    if (!rule.value.has_value() || change.op == Op::kRemove) return true;
    if (!change.value.has_value() || rule.value->declared || rule.value->unchanged) return std::nullopt;
    const Scalar scalar{Value::Kind::kString, false, *change.value};
    const ValueContext context;
    return rule.value->Admits(scalar, context, nullptr);
  };
  const auto take = [&](Answer::Kind kind, const Rule& rule) {
    answer.kind = kind;
    answer.by = rule.id;
    answer.place = policy.PlaceOf(rule.at);
  };
  for (const Rule& rule : policy.deny) {
    if (!rule.path.Matches(change.path) || !rule.Covers(change.op)) continue;
    const auto hit = admits(rule);
    if (hit == false) continue;
    take(hit.has_value() ? Answer::Kind::kDenied : Answer::Kind::kDepends, rule);
    return answer;
  }
  for (const Rule& rule : policy.allow) {
    if (!rule.path.Matches(change.path) || !rule.Covers(change.op)) continue;
    const auto hit = admits(rule);
    if (hit == false) {
      if (answer.kind != Answer::Kind::kDepends) take(Answer::Kind::kDenied, rule);
      continue;
    }
    needed_.emplace(policy.name, rule.id);
    take(hit.has_value() ? Answer::Kind::kAllowed : Answer::Kind::kDepends, rule);
    if (hit.has_value()) return answer;
  }
  return answer;
}

Replay::Answer Replay::Ask(const LoggedCall& call, const LoggedChange& change) {
  Answer all;
  all.by = "default-deny";
  if (!PathPattern::Parse(change.path).path.has_value()) return all;
  const Subject subject = SubjectOf(call);
  bool any = false;
  for (const Policy& policy : policies_.policies()) {
    if (!MayMatch(policy, subject)) continue;
    const bool unsure = !policy.match.digest.empty() || !policy.match.workflow_labels.empty();
    Answer answer = AskOne(policy, change);
    if (answer.kind == Answer::Kind::kAllowed && unsure) answer.kind = Answer::Kind::kDepends;
    if (!any || answer.kind == Answer::Kind::kDenied || all.kind == Answer::Kind::kAllowed) all = answer;
    any = true;
    if (all.kind == Answer::Kind::kDenied) return all;
  }
  return all;
}

void Replay::Add(const LoggedCall& call) {
  if (call.changes.empty()) return;
  Whole whole;
  for (const LoggedChange& change : call.changes) AddChange(call, change, whole);
  AskWhole(call, whole);
  ++report_.decisions;
  // One refusal refuses the reply, whatever else would have been said.
  if (whole.denied || (whole.of_reply.empty() && whole.of_values.empty())) {
    ++report_.decided;
    return;
  }
  if (!whole.of_reply.empty()) ++report_.without_whole;
  if (!whole.of_values.empty()) ++report_.without_values;
  if (report_.undecided.size() == kMostUndecided) return;
  UndecidedCall& one = report_.undecided.emplace_back();
  one.time = call.time.substr(0, 32);
  one.name_space = Kept(call.name_space);
  one.workflow = Kept(call.workflow);
  one.plugin = Kept(call.plugin);
  one.missing = std::move(whole.of_reply);
  one.missing.insert(one.missing.end(), whole.of_values.begin(), whole.of_values.end());
}

// Limits, require and checks of the policies that match, as far as the record tells.
void Replay::AskWhole(const LoggedCall& call, Whole& whole) const {
  const Subject subject = SubjectOf(call);
  for (const Policy& policy : policies_.policies()) {
    if (!MayMatch(policy, subject)) continue;
    const std::string of = " of " + policy.name;
    const bool sure = policy.match.digest.empty() && policy.match.workflow_labels.empty();
    if (!sure) whole.of_values.push_back("the digest or labels that the match" + of + " asks for");
    const Limits& limits = policy.limits;
    if (limits.reply_bytes != SIZE_MAX) {
      if (!call.reply_bytes.has_value()) whole.of_reply.push_back("limits.replyBytes" + of);
      if (sure && call.reply_bytes.value_or(0) > limits.reply_bytes) whole.denied = true;
    }
    if (limits.depth != SIZE_MAX) whole.of_reply.push_back("limits.depth" + of);
    if (limits.items != SIZE_MAX) whole.of_reply.push_back("limits.items" + of);
    bool text_unknown = false;
    for (const LoggedChange& change : call.changes) {
      if (change.whole || change.op == Op::kRemove) continue;
      if (change.path == "requeue" && limits.requeues != kDefaultRequeues)
        whole.of_reply.push_back("limits.requeues" + of);
      if (change.value.has_value()) {
        if (sure && change.value->size() > limits.string_bytes) whole.denied = true;
      } else {
        text_unknown = true;
      }
    }
    if (text_unknown && limits.string_bytes < kDefaultStringBytes) whole.of_reply.push_back("limits.stringBytes" + of);
    const auto rpc = RpcByName(call.method);
    for (const Rule& rule : policy.require) {
      const bool there = std::any_of(call.changes.begin(), call.changes.end(), [&](const LoggedChange& change) {
        return !change.whole && change.op != Op::kRemove && rule.path.Matches(change.path);
      });
      if (!there && rpc.has_value() && InReply(*rpc, rule.path.leaf_id()))
        whole.of_reply.push_back("require " + rule.id + of);
    }
    for (const Check& check : policy.checks) whole.of_reply.push_back("check " + check.id + of);
  }
}

void Replay::AddChange(const LoggedCall& call, const LoggedChange& change, Whole& whole) {
  ++report_.changes;
  if (!change.allowed && IsBuiltIn(change.rule)) {
    ++report_.guards;
    whole.denied = true;
    return;
  }
  // The record has no change to ask about, and what was not read then may hold more.
  if (change.whole) {
    ++report_.wholes;
    if (!change.allowed && change.rule == "limits.replyBytes")
      whole.of_reply.push_back("all changes, which were not read");
    return;
  }
  const bool then = change.allowed && !change.advice;
  const Answer now = Ask(call, change);
  whole.denied |= now.kind == Answer::Kind::kDenied;
  if (now.kind == Answer::Kind::kDepends)
    whole.of_values.push_back("the value of " + Kept(change.path) + " (rule " + now.by + ")");
  if ((now.kind == Answer::Kind::kAllowed && then) || (now.kind == Answer::Kind::kDenied && !then)) {
    ++report_.same;
    return;
  }
  const auto kind = now.kind == Answer::Kind::kDepends   ? ReplayChange::Kind::kDepends
                    : now.kind == Answer::Kind::kAllowed ? ReplayChange::Kind::kNewlyAllowed
                                                         : ReplayChange::Kind::kNewlyDenied;
  const std::string key = std::to_string(static_cast<int>(kind)) + '\0' + Kept(call.plugin) + '\0' + Kept(change.path) +
                          '\0' + std::string(OpName(change.op)) + '\0' + now.by + '\0' + Kept(change.rule);
  auto found = seen_.find(key);
  if (found == seen_.end()) {
    if (seen_.size() >= kMostDifferent) {
      ++report_.beyond;
      return;
    }
    found = seen_.emplace(key, Seen{}).first;
    ReplayChange& one = found->second.change;
    one.kind = kind;
    one.plugin = Kept(call.plugin);
    one.path = Kept(change.path);
    one.op = change.op;
    one.by_then = Kept(change.rule);
    one.by_now = now.by;
    one.place_now = now.place;
    one.first_time = call.time.substr(0, 32);
  }
  ReplayChange& one = found->second.change;
  ++one.changes;
  one.last_time = call.time.substr(0, 32);
  if (found->second.workflows.size() < kMostWorkflows)
    found->second.workflows.insert(Kept(call.name_space + "/" + call.workflow));
}

ReplayReport Replay::Take(const CallLogStats& stats) {
  report_.stats = stats;
  for (auto& [key, seen] : seen_) {
    seen.change.workflows = seen.workflows.size();
    report_.list.push_back(std::move(seen.change));
  }
  std::stable_sort(report_.list.begin(), report_.list.end(), [](const ReplayChange& a, const ReplayChange& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.changes > b.changes;
  });
  for (const Policy& policy : policies_.policies()) {
    for (const Rule& rule : policy.allow) {
      if (!needed_.contains({policy.name, rule.id}))
        report_.never_needed.push_back({policy.name, rule.id, policy.PlaceOf(rule.at)});
    }
  }
  return std::move(report_);
}

std::string_view KindName(ReplayChange::Kind kind) {
  switch (kind) {
    case ReplayChange::Kind::kNewlyDenied: return "newly denied";
    case ReplayChange::Kind::kNewlyAllowed: return "newly allowed";
    case ReplayChange::Kind::kDepends: return "depends on the value";
  }
  return "";
}

}  // namespace bulkhead::policy::tools

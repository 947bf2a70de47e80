#include "policy/tools/policy_diff.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "policy/tools/leaf_document.h"
#include "policy/tools/rule_text.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

constexpr std::array<Op, 3> kOps = {Op::kAdd, Op::kChange, Op::kRemove};
constexpr std::string_view kAnyValue = "any value";

std::string Condition(const Rule& rule, Op op) {
  std::string text;
  // A removal has no value to constrain.
  if (rule.value.has_value() && op != Op::kRemove) text = ConstraintText(rule.value);
  if (rule.when.has_value()) text += (text.empty() ? "" : " ") + std::string("when ") + rule.when->source;
  return text.empty() ? std::string(kAnyValue) : text;
}

// Names known to the rules of both sides, for each leaf, for each of its keys.
using Keys = std::map<uint16_t, std::vector<std::set<std::string>>>;

void CollectKeys(const Policy& policy, Keys& keys) {
  const auto collect = [&](const PathPattern& path) {
    auto& sets = keys[path.leaf_id()];
    sets.resize(std::max(sets.size(), path.keys().size()));
    for (size_t i = 0; i < path.keys().size(); ++i) {
      if (!path.keys()[i].any) sets[i].insert(path.keys()[i].text);
    }
  };
  for (const Rule& rule : policy.allow) collect(rule.path);
  for (const Rule& rule : policy.deny) collect(rule.path);
  for (const Unprotect& one : policy.unprotect) collect(one.path);
}

// Every path of a leaf under the known names and one that nobody knows.
std::vector<PathPattern> PathsOf(const LeafSpec& leaf, const std::vector<std::set<std::string>>& keys) {
  std::vector<std::string> texts = {""};
  size_t key = 0;
  for (size_t at = 0; at < leaf.path.size();) {
    const size_t open = leaf.path.find("[]", at);
    const std::string literal(
        leaf.path.substr(at, open == std::string_view::npos ? std::string_view::npos : open - at));
    for (std::string& text : texts) text += literal;
    if (open == std::string_view::npos) break;
    std::vector<std::string> longer;
    for (const std::string& text : texts) {
      if (key < keys.size()) {
        for (const std::string& name : keys[key]) longer.push_back(text + KeyStep(name));
      }
      longer.push_back(text + "[*]");
    }
    texts = std::move(longer);
    ++key;
    at = open + 2;
  }
  std::vector<PathPattern> paths;
  for (const std::string& text : texts) {
    auto parsed = PathPattern::Parse(text);
    if (parsed.path.has_value()) paths.push_back(std::move(*parsed.path));
  }
  return paths;
}

std::string Lists(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) text += (text.size() > 1 ? ", " : "") + FlowScalar(item);
  return text + "]";
}

// The settings of a policy, by name, as text; what is not set is not there.
std::map<std::string, std::string> Settings(const Policy& policy) {
  std::map<std::string, std::string> settings;
  settings["mode"] = std::string(ModeName(policy.mode)) +
                     (policy.expires.has_value() ? " until " + policy.expires->text : std::string());
  settings["onDeny"] = std::string(OnDenyName(policy.on_deny));
  settings["match.plugin"] = policy.match.plugin;
  if (!policy.match.digest.empty()) settings["match.plugin.digest"] = policy.match.digest;
  settings["match.rpc"] = Lists(policy.match.rpcs);
  settings["match.namespaces"] = Lists(policy.match.namespaces);
  settings["match.templates"] = Lists(policy.match.templates);
  for (const auto& [label, glob] : policy.match.workflow_labels) settings["match.workflowLabels." + label] = glob;
  const auto limit = [&](const char* name, size_t value, size_t unset) {
    if (value != unset) settings[std::string("limits.") + name] = std::to_string(value);
  };
  limit("replyBytes", policy.limits.reply_bytes, SIZE_MAX);
  limit("depth", policy.limits.depth, SIZE_MAX);
  limit("items", policy.limits.items, SIZE_MAX);
  limit("stringBytes", policy.limits.string_bytes, kDefaultStringBytes);
  limit("requeues", policy.limits.requeues, kDefaultRequeues);
  for (const Rule& rule : policy.require) settings["require " + rule.id] = rule.path.text();
  for (const Check& check : policy.checks) settings["check " + check.id] = check.expr.source;
  for (const Unprotect& one : policy.unprotect) settings["unprotect " + one.path.text()] = "until " + one.expires.text;
  return settings;
}

void DiffSettings(const Policy* before, const Policy* after, const std::string& name, std::vector<Difference>& out) {
  const auto old_settings = before == nullptr ? std::map<std::string, std::string>() : Settings(*before);
  const auto new_settings = after == nullptr ? std::map<std::string, std::string>() : Settings(*after);
  std::set<std::string> keys;
  for (const auto& [key, value] : old_settings) keys.insert(key);
  for (const auto& [key, value] : new_settings) keys.insert(key);
  for (const std::string& key : keys) {
    const auto find = [&](const auto& settings) {
      const auto found = settings.find(key);
      return found == settings.end() ? std::string() : found->second;
    };
    const std::string was = find(old_settings);
    const std::string is = find(new_settings);
    if (was != is) out.push_back({Difference::Kind::kSetting, name, key, "", was, is});
  }
}

std::string Joined(const std::vector<std::string>& conditions) {
  return Join(conditions, " or ");
}

void DiffPair(const Policy* before, const Policy* after, std::vector<Difference>& out) {
  const std::string& name = after != nullptr ? after->name : before->name;
  DiffSettings(before, after, name, out);
  Keys keys;
  if (before != nullptr) CollectKeys(*before, keys);
  if (after != nullptr) CollectKeys(*after, keys);
  const auto leaves = Leaves();
  for (size_t i = 0; i < leaves.size(); ++i) {
    const auto found = keys.find(static_cast<uint16_t>(i));
    // No rule of either side speaks of the leaf: both deny it.
    if (found == keys.end()) continue;
    for (const PathPattern& path : PathsOf(leaves[i], found->second)) {
      // The same answer for several ops is one line.
      std::map<std::pair<std::string, std::string>, std::string> changes;
      for (const Op op : kOps) {
        const std::string was = before == nullptr ? "" : Joined(AllowedAt(*before, path, op));
        const std::string is = after == nullptr ? "" : Joined(AllowedAt(*after, path, op));
        if (was == is) continue;
        std::string& ops = changes[{was, is}];
        ops += (ops.empty() ? "" : ", ") + std::string(OpName(op));
      }
      for (const auto& [change, ops] : changes) {
        const auto kind = change.first.empty()    ? Difference::Kind::kNewlyAllowed
                          : change.second.empty() ? Difference::Kind::kNewlyDenied
                                                  : Difference::Kind::kValues;
        out.push_back({kind, name, path.text(), ops, change.first, change.second});
      }
    }
  }
}

}  // namespace

std::vector<std::string> AllowedAt(const Policy& policy, const PathPattern& path, Op op) {
  std::vector<std::string> conditions;
  const bool reachable = std::any_of(policy.match.rpcs.begin(), policy.match.rpcs.end(), [&](const std::string& name) {
    const auto rpc = RpcByName(name);
    return rpc.has_value() && InReply(*rpc, path.leaf_id());
  });
  if (!reachable) return conditions;
  const bool unprotected = std::any_of(policy.unprotect.begin(), policy.unprotect.end(),
                                       [&](const Unprotect& one) { return one.path.Covers(path); });
  if (path.set() != ProtectedSet::kNone && !unprotected) return conditions;
  std::string denied;
  for (const Rule& rule : policy.deny) {
    if (!rule.path.Covers(path) || !rule.Covers(op)) continue;
    const std::string condition = Condition(rule, op);
    if (condition == kAnyValue) return {};
    denied += " unless " + condition;
  }
  for (const Rule& rule : policy.allow) {
    if (rule.path.Covers(path) && rule.Covers(op)) conditions.push_back(Condition(rule, op) + denied);
  }
  std::sort(conditions.begin(), conditions.end());
  conditions.erase(std::unique(conditions.begin(), conditions.end()), conditions.end());
  // Whatever the others ask for, this one does not.
  const std::string any = std::string(kAnyValue) + denied;
  if (std::find(conditions.begin(), conditions.end(), any) != conditions.end()) return {any};
  return conditions;
}

std::vector<Difference> DiffPolicies(std::span<const Policy> before, std::span<const Policy> after) {
  std::vector<Difference> out;
  if (before.size() == 1 && after.size() == 1) {
    DiffPair(&before[0], &after[0], out);
    return out;
  }
  for (const Policy& policy : after) {
    const auto old =
        std::find_if(before.begin(), before.end(), [&](const Policy& one) { return one.name == policy.name; });
    DiffPair(old == before.end() ? nullptr : &*old, &policy, out);
  }
  for (const Policy& policy : before) {
    const bool kept =
        std::any_of(after.begin(), after.end(), [&](const Policy& one) { return one.name == policy.name; });
    if (!kept) DiffPair(&policy, nullptr, out);
  }
  return out;
}

std::string_view KindName(Difference::Kind kind) {
  switch (kind) {
    case Difference::Kind::kNewlyAllowed: return "newly allowed";
    case Difference::Kind::kNewlyDenied: return "newly denied";
    case Difference::Kind::kValues: return "other values";
    case Difference::Kind::kSetting: return "setting";
  }
  return "";
}

}  // namespace bulkhead::policy::tools

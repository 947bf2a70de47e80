#include "policy/tools/learn.h"

#include <algorithm>

#include "policy/path.h"
#include "policy/tools/rule_text.h"
#include "policy/tools/source_tree.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

constexpr size_t kMostTargets = 256;
constexpr size_t kMostChanges = 2'000;  // of one target
constexpr size_t kMostValues = 64;      // of one change
constexpr size_t kMostNames = 32;       // namespaces, templates
constexpr size_t kMostWorkflowsLearned = 10'000;
constexpr size_t kMostMinutes = 1'024;
constexpr size_t kEntryBytes = 96;  // what a set spends on an entry beside its text, about
constexpr size_t kMostEnum = 8;
constexpr size_t kMostLearnedText = 1'024;  // of one path, name or value
constexpr size_t kMostTime = 32;

bool HasBraces(std::string_view text) {
  return text.find("{{") != std::string_view::npos || text.find("}}") != std::string_view::npos;
}

// Those that a plugin may have good reason to give. Skipped and Omitted let dependants go on: no log is reason enough.
bool IsOrdinaryPhase(std::string_view phase) {
  return phase == "Running" || phase == "Succeeded" || phase == "Failed" || phase == "Error";
}

// Whether a rule, as it would stand under spec.allow, loads.
bool Loads(std::string_view rule, std::string_view method) {
  Diagnostics diagnostics("rule");
  const std::string text =
      "apiVersion: " + std::string(kApiVersion) +
      "\nkind: MutationPolicy\nmetadata: {name: rule}\nspec:\n  match: {plugin: {name: p}, rpc: [" +
      std::string(method) + "], namespaces: [\"*\"], templates: [\"*\"]}\n  allow:\n" + std::string(rule);
  static_cast<void>(ReadPolicies(text, diagnostics));
  return !diagnostics.HasErrors();
}

std::string IdFrom(std::string_view text) {
  std::string id;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
    if (plain) {
      id += c;
    } else if (!id.empty() && id.back() != '-') {
      id += '-';
    }
    if (id.size() >= 40) break;
  }
  while (id.ends_with('-')) id.pop_back();
  return id.empty() ? "rule" : id;
}

std::string PercentText(uint64_t part, uint64_t whole) {
  return std::to_string(part) + "/" + std::to_string(whole);
}

std::string Times(uint64_t count) {
  return count == 1 ? "once" : std::to_string(count) + " times";
}

std::string Day(std::string_view time) {
  return EscapeForTerminal(time.substr(0, 10));
}

size_t Longest(const std::set<std::string>& values) {
  size_t longest = 0;
  for (const std::string& value : values) longest = std::max(longest, value.size());
  return longest;
}

bool AllOf(const std::set<std::string>& values, std::string_view allowed) {
  return std::all_of(values.begin(), values.end(), [&](const std::string& value) {
    return !value.empty() && value.find_first_not_of(allowed) == std::string::npos;
  });
}

std::string Flow(const std::set<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) text += (text.size() > 1 ? ", " : "") + FlowScalar(item);
  return text + "]";
}

std::string WorkflowOf(const LoggedCall& call) {
  return call.name_space + "/" + call.workflow;
}

}  // namespace

bool Learner::Remember(std::set<std::string>& set, const std::string& text, size_t most) {
  if (set.contains(text)) return true;
  const size_t cost = text.size() + kEntryBytes;
  if (set.size() >= most || text.size() > kMostLearnedText || cost > room_) return false;
  room_ -= cost;
  set.insert(text);
  return true;
}

Learner::Target* Learner::TargetOf(const LoggedCall& call) {
  const auto key = std::make_pair(call.plugin, call.method);
  const auto found = targets_.find(key);
  if (found != targets_.end()) return &found->second;
  if (targets_.size() >= kMostTargets) {
    ++beyond_;
    return nullptr;
  }
  return &targets_[key];
}

void Learner::Add(const LoggedCall& call) {
  const auto rpc = RpcByName(call.method);
  if (call.plugin.empty() || call.plugin.size() > kMostLearnedText || !rpc.has_value()) return;
  Target* const target = TargetOf(call);
  if (target == nullptr) return;
  ++target->replies;
  Remember(target->workflows, WorkflowOf(call), kMostWorkflowsLearned);
  target->more_namespaces |= !Remember(target->namespaces, call.name_space, kMostNames);
  target->more_templates |= !Remember(target->templates, call.template_name, kMostNames);
  for (const LoggedChange& logged : call.changes) {
    if (logged.path.empty() || !MayTeach(logged, *rpc)) continue;
    if (Change* const change = ChangeOf(*target, call, logged)) Observe(call, logged, *change);
  }
}

// Whether a rule could allow it. What can't is counted.
bool Learner::MayTeach(const LoggedChange& logged, Rpc rpc) {
  const auto path = PathPattern::Parse(logged.path);
  if (logged.path.size() > kMostLearnedText || !path.path.has_value() || logged.path.find("[*]") != std::string::npos ||
      !InReply(rpc, path.path->leaf_id())) {
    ++unknown_;
    return false;
  }
  if (path.path->set() != ProtectedSet::kNone) {
    ++protected_;
    return false;
  }
  if (HasBraces(logged.path) || (logged.value.has_value() && HasBraces(*logged.value))) {
    ++templates_;
    return false;
  }
  if (!logged.allowed) ++refused_;
  return logged.allowed || !logged.rule.starts_with("argo.");
}

Learner::Change* Learner::ChangeOf(Target& target, const LoggedCall& call, const LoggedChange& logged) {
  const auto found = target.changes.find(logged.path);
  if (found != target.changes.end()) return &found->second;
  if (target.changes.size() >= kMostChanges || room_ < sizeof(Change) + kMostLearnedText) {
    ++beyond_;
    return nullptr;
  }
  room_ -= sizeof(Change) + logged.path.size();
  Change& change = target.changes[logged.path];
  change.first_time = call.time.substr(0, kMostTime);
  return &change;
}

void Learner::Observe(const LoggedCall& call, const LoggedChange& logged, Change& change) {
  // An enforced refusal is no example to follow.
  if (!logged.allowed) {
    ++change.refused;
    change.refused_by = logged.rule.substr(0, kMostLearnedText);
    if (!options_.include_refused) return;
  }
  ++change.replies;
  change.advised += logged.advice ? 1 : 0;
  change.add |= logged.op == Op::kAdd;
  change.change |= logged.op == Op::kChange;
  change.remove |= logged.op == Op::kRemove;
  change.last_time = call.time.substr(0, kMostTime);
  Remember(change.workflows, WorkflowOf(call), kMostWorkflowsLearned);
  const bool plausible = logged.path != "node.phase" || !logged.value.has_value() || IsOrdinaryPhase(*logged.value);
  const bool kept = plausible && logged.value.has_value() && logged.value->size() <= kMostLearnedText &&
                    Remember(change.values, *logged.value, kMostValues);
  if (!kept && logged.op != Op::kRemove) change.all_values = false;
  const std::string minute = call.time.substr(0, 16);
  if (change.minutes.contains(minute)) {
    ++change.minutes[minute];
  } else if (change.minutes.size() < kMostMinutes && room_ >= kEntryBytes) {
    room_ -= kEntryBytes;
    ++change.minutes[minute];
  }
}

// The narrowest value that what was seen bears out; the wider steps go to `ladder`.
std::string Learner::ValueOf(const std::string& path, const Change& change, std::string& ladder) const {
  const auto parsed = PathPattern::Parse(path);
  const FieldType type = parsed.path->leaf().field->type;
  if (path.ends_with("].name")) return "{const: " + FlowScalar(parsed.path->keys().back().text) + "}";
  if (type == FieldType::kDuration) {
    ladder = "the log holds no durations: set the bounds";
    return "{duration: {min: 5s, max: 10m}}";
  }
  if (path == "node.phase" && (!change.all_values || change.values.empty()))
    return "{enum: [Running, Succeeded, Failed, Error]}";
  if (!change.all_values || change.values.empty()) {
    ladder = "the log holds no values (see `log: value` of a rule): narrow it";
    if (path == "node.message") return "{charset: text, maxBytes: 512}";
    if (type == FieldType::kBool || type == FieldType::kInteger || type == FieldType::kStrings ||
        type == FieldType::kAnything)
      return "";
    return "{charset: token, maxBytes: 128}";
  }
  const auto constant = [&] { return "{const: " + FlowScalar(*change.values.begin()) + "}"; };
  const size_t longest = Longest(change.values);
  std::string general;
  if (AllOf(change.values, "0123456789")) {
    general = "{pattern: \"[0-9]{1," + std::to_string(longest) + "}\"}";
  } else if (AllOf(change.values, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@+")) {
    general = "{charset: token, maxBytes: " + std::to_string(longest) + "}";
  } else {
    general = "{charset: printable, maxBytes: " + std::to_string(longest) + "}";
  }
  const bool wide =
      change.values.size() >= options_.least_values && change.workflows.size() >= options_.least_workflows;
  if (change.values.size() == 1) {
    ladder = "one value seen; wider: " + general;
    return constant();
  }
  std::string listed = "{enum: " + Flow(change.values) + "}";
  if (!wide || (path == "node.phase")) {
    ladder = std::to_string(change.values.size()) + " values of " + std::to_string(change.workflows.size()) +
             " workflows; wider: " + general;
    return listed;
  }
  ladder = std::to_string(change.values.size()) + " values of " + std::to_string(change.workflows.size()) +
           " workflows" + (change.values.size() <= kMostEnum ? "; narrower: " + listed : "");
  return general;
}

std::string Learner::Rule(const std::string& path, const Change& change, const Target& target) const {
  std::string ladder;
  const std::string value = ValueOf(path, change, ladder);
  std::string comment = "    # seen " + PercentText(change.replies, target.replies) + " replies, " +
                        std::to_string(change.workflows.size()) +
                        (change.workflows.size() == 1 ? " workflow, " : " workflows, ") + Day(change.first_time) +
                        " to " + Day(change.last_time);
  if (change.refused > 0) comment += "; refused " + Times(change.refused);
  comment += "\n";
  if (!ladder.empty()) comment += "    # " + EscapeForTerminal(ladder) + "\n";
  for (const auto& [minute, count] : change.minutes) {
    constexpr uint64_t kFewest = 10;
    if (change.replies >= kFewest && count * 2 > change.replies) {
      comment += "    # beware: " + std::to_string(count) + " of them within the minute " + EscapeForTerminal(minute) +
                 ": one burst can make a habit look old\n";
    }
  }
  std::string ops = change.add ? "add" : "";
  if (change.change) ops += (ops.empty() ? "" : ", ") + std::string("change");
  if (change.remove) ops += (ops.empty() ? "" : ", ") + std::string("remove");
  std::string id = IdFrom(path);
  return comment + "    - {id: " + id + "@, path: " + FlowScalar(path) + ", op: [" + ops + "]" +
         (value.empty() ? "" : ", value: " + value) + "}\n";
}

void Learner::Document(const std::string& plugin, const std::string& method, const Target& target,
                       std::string& out) const {
  out += "apiVersion: " + std::string(kApiVersion) + "\nkind: MutationPolicy\nmetadata:\n  name: learned-" +
         IdFrom(plugin + "-" + method) +
         "\n  owner: nobody@example.com  # who answers for it\nspec:\n"
         "  mode: audit  # refuses nothing but what is always refused; write enforce when you have read it all\n"
         "  expires: \"" +
         options_.expires + "\"\n  onDeny: fail-node\n  match:\n    plugin: {name: " + FlowScalar(plugin) +
         "}\n    rpc: [" + method + "]\n";
  const auto listed = [&](std::string_view key, const std::set<std::string>& names, bool more) {
    out += "    " + std::string(key) + ": " + Flow(names) + (more ? "  # and more than can be listed" : "") + "\n";
  };
  listed("namespaces", target.namespaces, target.more_namespaces);
  listed("templates", target.templates, target.more_templates);
  out += "  allow:\n";
  size_t number = 0;
  std::string refused;
  std::map<std::string, std::pair<size_t, std::set<std::string>>> names;  // leaf to names and workflows
  for (const auto& [path, change] : target.changes) {
    if (change.replies == 0) {
      refused += "    # refused " + Times(change.refused) + " by " + EscapeForTerminal(change.refused_by) +
                 ", not proposed: " + EscapeForTerminal(path) + "\n";
      continue;
    }
    std::string rule = Rule(path, change, target);
    const size_t at = rule.rfind("@, path: ");
    rule.replace(at, 1, "-" + std::to_string(number + 1));
    if (!Loads(rule, method)) {
      refused += "    # no rule can allow it as it was seen: " + EscapeForTerminal(path) + "\n";
      continue;
    }
    ++number;
    out += rule;
    const auto parsed = PathPattern::Parse(path);
    if (!parsed.path->keys().empty()) {
      auto& [count, workflows] = names[std::string(parsed.path->leaf().path)];
      ++count;
      workflows.insert(change.workflows.begin(), change.workflows.end());
    }
  }
  if (number == 0) out.replace(out.size() - 1, 1, " []\n");
  for (const auto& [leaf, seen] : names) {
    if (seen.first < options_.least_values || seen.second.size() < options_.least_workflows) continue;
    std::string wide = leaf;
    for (size_t at = wide.find("[]"); at != std::string::npos; at = wide.find("[]")) wide.replace(at, 2, "[*]");
    out += "    # " + std::to_string(seen.first) + " names in " + std::to_string(seen.second.size()) +
           " workflows; one rule for all of them would be: {path: '" + wide + "', ...}\n";
  }
  out += refused;
}

std::string Learner::Propose(const CallLogStats& stats) const {
  std::string out;
  for (const auto& [key, target] : targets_) {
    if (target.changes.empty()) continue;
    if (out.empty()) {
      out += "# Proposed from " + std::to_string(stats.calls) + " calls, " + Day(stats.first_time) + " to " +
             Day(stats.last_time) +
             ".\n# Plugins wrote what this was made from: whoever controls a plugin can teach it anything. Read each "
             "rule,\n"
             "# ask whether the plugin needs it, narrow its value, then test it: bulkhead policy test --help\n";
    } else {
      out += "---\n";
    }
    Document(key.first, key.second, target, out);
  }
  return out;
}

std::vector<std::string> Learner::Notes() const {
  std::vector<std::string> notes;
  const auto note = [&](uint64_t count, std::string_view what) {
    if (count > 0) notes.push_back(std::to_string(count) + " " + std::string(what));
  };
  note(protected_, "changes of protected paths: never proposed");
  note(templates_, "changes with {{ or }}: never proposed");
  note(unknown_, "changes of paths that Argo does not have: left out");
  note(refused_, options_.include_refused ? "refused changes: proposed as asked, unless a guard refused them"
                                          : "refused changes: not proposed (--include-refused proposes them)");
  note(beyond_, "changes beyond what is kept: left out");
  return notes;
}

}  // namespace bulkhead::policy::tools

// Lint of checks: W066, a check that the values of the rules imply.
//
// Tried out rather than reasoned about: where everything that a check reads has only values that rules name (const,
// enum), the check is evaluated on each state that they can make. A check that fails for none of them can refuse
// nothing.
#include <algorithm>
#include <map>

#include "policy/expression.h"
#include "policy/policy.h"
#include "policy/tools/leaf_document.h"
#include "policy/tools/lint.h"
#include "runner/base/value.h"

namespace bulkhead::policy::tools {

namespace {

constexpr size_t kMostStates = 4096;
constexpr std::string_view kOnly = "template.execute";

// A leaf that a check reads, and every value that it can have; nullopt among them: it is absent.
struct Domain {
  PathPattern path;
  std::vector<std::optional<std::string>> values;
};

// {"node", "outputs", "parameters", "ts", "value"} as a path of the policy language; nullopt: no leaf.
std::optional<PathPattern> LeafOf(const std::vector<std::string>& steps) {
  const StructSpec* spec = ReplySpec(Rpc::kTemplateExecute);
  std::string text;
  for (size_t i = 0; i < steps.size(); ++i) {
    const FieldSpec* const field = spec == nullptr ? nullptr : spec->Find(steps[i]);
    if (field == nullptr) return std::nullopt;
    text += (text.empty() ? "" : ".") + steps[i];
    spec = field->child;
    if (field->type != FieldType::kKeyedList && field->type != FieldType::kStringMap) continue;
    if (++i == steps.size()) return std::nullopt;
    text += KeyStep(steps[i]);
  }
  return PathPattern::Parse(text).path;
}

// nullopt: a rule lets in more than it names.
std::optional<Domain> DomainOf(const Policy& policy, const PathPattern& path) {
  if (path.leaf().field->type != FieldType::kString && path.leaf().field->type != FieldType::kAnyString)
    return std::nullopt;
  Domain domain;
  domain.path = path;
  domain.values.emplace_back();
  const auto add = [&](const std::string& value) {
    if (std::find(domain.values.begin(), domain.values.end(), value) == domain.values.end())
      domain.values.emplace_back(value);
  };
  // What a node is before any reply, and stays while none changes it.
  if (path.text() == "node.phase") {
    add("Pending");
    add("Running");
  }
  for (const Rule& rule : policy.allow) {
    if (!rule.path.Covers(path)) continue;
    if (!rule.value.has_value() || (!rule.value->constant.has_value() && rule.value->choices.empty()))
      return std::nullopt;
    if (rule.value->constant.has_value()) add(*rule.value->constant);
    for (const std::string& choice : rule.value->choices) add(choice);
  }
  return domain;
}

// All that `check` reads; nullopt when anything of it has no end.
std::optional<std::vector<Domain>> DomainsOf(const Policy& policy, const Check& check) {
  std::map<std::string, Domain> domains;
  size_t states = 1;
  for (const std::vector<std::string>& steps : PathsRead(check.expr)) {
    const auto path = LeafOf(steps);
    if (!path.has_value()) return std::nullopt;
    if (domains.contains(path->text())) continue;
    auto domain = DomainOf(policy, *path);
    if (!domain.has_value()) return std::nullopt;
    states *= domain->values.size();
    if (states > kMostStates) return std::nullopt;
    domains.emplace(path->text(), std::move(*domain));
  }
  std::vector<Domain> list;
  list.reserve(domains.size());
  for (auto& [text, domain] : domains) list.push_back(std::move(domain));
  return list;
}

// Members of `more` beside those of `target`, entries of lists by their names.
void Merge(Value& target, const Value& more) {
  for (const Member& member : more.members) {
    if (Value* const there = target.Find(member.key)) {
      Merge(*there, member.value);
    } else {
      target.Set(member.key, member.value);
    }
  }
  for (const Value& item : more.items) {
    const Value* const name = item.Find("name");
    const auto found = std::find_if(target.items.begin(), target.items.end(), [&](const Value& other) {
      const Value* const other_name = other.Find("name");
      return name != nullptr && other_name != nullptr && name->text == other_name->text;
    });
    if (found == target.items.end()) {
      target.items.push_back(item);
    } else {
      Merge(*found, item);
    }
  }
}

Value StateOf(const std::vector<Domain>& domains, const std::vector<size_t>& chosen) {
  Value state = Value::Object();
  state.Set("node", Value::Object());
  for (size_t i = 0; i < domains.size(); ++i) {
    const auto& value = domains[i].values[chosen[i]];
    if (!value.has_value()) continue;
    std::vector<std::string> keys;
    for (const PathPattern::Key& key : domains[i].path.keys()) keys.push_back(key.text);
    Merge(state, DocumentWith(domains[i].path.leaf(), keys, Value::String(*value)));
  }
  return state;
}

bool Refuses(const PolicySet& alone, const Policy& policy, const Value& state) {
  Call call;
  call.subject.plugin = policy.match.plugin;
  call.subject.rpc = kOnly;
  call.sent = &state;
  Evaluator evaluator;
  // The state as it stands: a reply that changes nothing of it.
  const Decision& decision = evaluator.Decide(alone, call, R"({"node": {}})");
  return decision.refused > 0;
}

// True when no state that the rules can make fails the check.
bool Implied(const Policy& policy, const Check& check) {
  const auto domains = DomainsOf(policy, check);
  if (!domains.has_value() || domains->empty()) return false;
  Policy only;
  only.name = policy.name;
  only.match.plugin = policy.match.plugin;
  only.match.rpcs = {std::string(kOnly)};
  only.match.namespaces = only.match.templates = {"*"};
  only.checks = {check};
  const auto alone = PolicySet::FromPolicies({only});
  if (!alone.ok()) return false;
  std::vector<size_t> chosen(domains->size(), 0);
  for (;;) {
    if (Refuses(*alone, only, StateOf(*domains, chosen))) return false;
    size_t i = 0;
    while (i < chosen.size() && ++chosen[i] == (*domains)[i].values.size()) chosen[i++] = 0;
    if (i == chosen.size()) return true;
  }
}

}  // namespace

void LintChecks(const Policy& policy, LintSink& sink) {
  // Of other methods the state before is not this policy's own work.
  if (policy.match.rpcs.size() != 1 || policy.match.rpcs.front() != kOnly) return;
  for (const Check& check : policy.checks) {
    if (check.expr.program == nullptr || !Implied(policy, check)) continue;
    sink.Add(policy, "W066", check.at,
             "check " + check.id + " holds for every value that the rules name, so it refuses nothing: remove it, or " +
                 "say what it was to refuse");
  }
}

}  // namespace bulkhead::policy::tools

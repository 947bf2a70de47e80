#include "policy/tools/mutants.h"

#include <array>
#include <functional>
#include <utility>

namespace bulkhead::policy::tools {

namespace {

// One constraint of a rule and how to take it away.
struct Loosening {
  const char* key;
  bool (*given)(const Constraint&);
  void (*take)(Constraint&);
};

const std::array<Loosening, 12> kLoosenings = {{
    {"const", [](const Constraint& c) { return c.constant.has_value(); }, [](Constraint& c) { c.constant.reset(); }},
    {"enum", [](const Constraint& c) { return !c.choices.empty(); }, [](Constraint& c) { c.choices.clear(); }},
    {"pattern", [](const Constraint& c) { return c.matcher != nullptr; },
     [](Constraint& c) {
       c.matcher.reset();
       c.pattern.clear();
     }},
    {"prefix", [](const Constraint& c) { return !c.prefix.empty(); }, [](Constraint& c) { c.prefix.clear(); }},
    {"type", [](const Constraint& c) { return !c.type.empty(); }, [](Constraint& c) { c.type.clear(); }},
    {"min", [](const Constraint& c) { return c.min.has_value(); }, [](Constraint& c) { c.min.reset(); }},
    {"max", [](const Constraint& c) { return c.max.has_value(); }, [](Constraint& c) { c.max.reset(); }},
    {"maxBytes", [](const Constraint& c) { return c.max_bytes.has_value(); },
     [](Constraint& c) { c.max_bytes.reset(); }},
    {"charset", [](const Constraint& c) { return c.charset.has_value(); }, [](Constraint& c) { c.charset.reset(); }},
    {"url", [](const Constraint& c) { return c.url.has_value(); }, [](Constraint& c) { c.url.reset(); }},
    {"declared", [](const Constraint& c) { return c.declared; }, [](Constraint& c) { c.declared = false; }},
    {"unchanged", [](const Constraint& c) { return c.unchanged; }, [](Constraint& c) { c.unchanged = false; }},
}};

// `parameters[ts].name` is "ts" whatever the rule says of it.
bool FixedByPath(const Rule& rule, std::string_view key) {
  if (key != "const" && key != "enum") return false;
  return rule.path.leaf().path.ends_with("[].name") && !rule.path.keys().empty() && !rule.path.keys().back().any;
}

// The path with its last key made a wildcard; unset when it has none, or names one already.
std::optional<PathPattern> ForEveryName(const PathPattern& path) {
  if (path.keys().empty() || path.keys().back().any) return std::nullopt;
  // Other names of a leaf that was unprotected for this one stay protected.
  if (path.set() != ProtectedSet::kNone) return std::nullopt;
  const std::string step = KeyStep(path.keys().back().text);
  const size_t at = path.text().rfind(step);
  // Written in another way ('["ts"]'): leave it.
  if (at == std::string::npos) return std::nullopt;
  std::string text = path.text();
  text.replace(at, step.size(), "[*]");
  return PathPattern::Parse(text).path;
}

class MutantMaker {
 public:
  explicit MutantMaker(const Policy& policy) : policy_(policy) {}

  std::vector<Mutant> Make() {
    for (size_t i = 0; i < policy_.allow.size(); ++i) Allow(i);
    for (size_t i = 0; i < policy_.deny.size(); ++i) Deny(i);
    for (size_t i = 0; i < policy_.require.size(); ++i) {
      const Rule& rule = policy_.require[i];
      Add(rule.id, rule.at, "dropped", "a reply that leaves " + rule.path.text() + " out",
          [i](Policy& policy) { policy.require.erase(policy.require.begin() + static_cast<std::ptrdiff_t>(i)); });
    }
    for (size_t i = 0; i < policy_.checks.size(); ++i) {
      const Check& check = policy_.checks[i];
      Add(check.id, check.at, "dropped", "a reply for which the expression is false",
          [i](Policy& policy) { policy.checks.erase(policy.checks.begin() + static_cast<std::ptrdiff_t>(i)); });
    }
    return std::move(mutants_);
  }

 private:
  void Add(const std::string& rule, Position at, std::string change, std::string advice,
           const std::function<void(Policy&)>& alter) {
    Mutant mutant{rule, at, std::move(change), std::move(advice), policy_};
    alter(mutant.policy);
    mutants_.push_back(std::move(mutant));
  }

  void Allow(size_t i) {
    const Rule& rule = policy_.allow[i];
    const std::string& path = rule.path.text();
    Add(rule.id, rule.at, "dropped", "a reply that sets " + path + " and is allowed",
        [i](Policy& policy) { policy.allow.erase(policy.allow.begin() + static_cast<std::ptrdiff_t>(i)); });
    if (rule.value.has_value()) {
      for (const Loosening& loosening : kLoosenings) {
        if (!loosening.given(*rule.value) || FixedByPath(rule, loosening.key)) continue;
        Add(rule.id, rule.at, "without its " + std::string(loosening.key),
            "a reply whose " + path + " breaks only that, and is refused",
            [i, &loosening](Policy& policy) { loosening.take(*policy.allow[i].value); });
      }
      if (rule.value->least.has_value()) {
        Add(rule.id, rule.at, "without its least duration", "a reply whose " + path + " is shorter, and is refused",
            [i](Policy& policy) { policy.allow[i].value->least = std::chrono::nanoseconds(0); });
        Add(rule.id, rule.at, "without its longest duration", "a reply whose " + path + " is longer, and is refused",
            [i](Policy& policy) { policy.allow[i].value->most = std::chrono::nanoseconds::max(); });
      }
    }
    if (rule.when.has_value()) {
      Add(rule.id, rule.at, "without its when", "a reply that sets " + path + " while `when` is false, and is refused",
          [i](Policy& policy) { policy.allow[i].when.reset(); });
    }
    Ops(i, rule);
    if (auto wider = ForEveryName(rule.path)) {
      Add(rule.id, rule.at, "for every name", "a reply that sets " + wider->text() + " under another name, refused",
          [i, &wider](Policy& policy) { policy.allow[i].path = *wider; });
    }
  }

  // Only what was written: the ops that are given when none are named are nobody's choice.
  void Ops(size_t i, const Rule& rule) {
    if (rule.op_at.line == 0) return;
    const std::string& path = rule.path.text();
    if (!rule.add) {
      Add(rule.id, rule.at, "with op add", "a reply that adds " + path + ", and is refused",
          [i](Policy& policy) { policy.allow[i].add = true; });
    }
    if (!rule.change) {
      Add(rule.id, rule.at, "with op change", "a reply that changes a " + path + " that was there, and is refused",
          [i](Policy& policy) { policy.allow[i].change = true; });
    }
  }

  void Deny(size_t i) {
    const Rule& rule = policy_.deny[i];
    Add(rule.id, rule.at, "dropped", "a reply that only this rule refuses",
        [i](Policy& policy) { policy.deny.erase(policy.deny.begin() + static_cast<std::ptrdiff_t>(i)); });
    if (rule.value.has_value()) {
      Add(rule.id, rule.at, "for every value", "a reply that sets " + rule.path.text() + " and is allowed",
          [i](Policy& policy) { policy.deny[i].value.reset(); });
    }
    if (rule.when.has_value()) {
      Add(rule.id, rule.at, "without its when", "a reply that sets " + rule.path.text() + " and is allowed",
          [i](Policy& policy) { policy.deny[i].when.reset(); });
    }
  }

  const Policy& policy_;
  std::vector<Mutant> mutants_;
};

}  // namespace

std::vector<Mutant> MakeMutants(const Policy& policy) {
  return MutantMaker(policy).Make();
}

}  // namespace bulkhead::policy::tools

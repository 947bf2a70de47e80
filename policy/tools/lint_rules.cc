// Lints of paths and values.
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "policy/tools/lint.h"
#include "policy/tools/rule_text.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

using namespace std::chrono_literals;

// Texts that hold {{: a pattern that matches one of them lets a template in, were it not for the value guard.
constexpr std::array<std::string_view, 8> kTemplates = {"{{",     "{{x}}", "{{workflow.name}}", "a{{b}}", "a{{b}}c",
                                                        "{{=1}}", "a b{{", "https://x/{{y}}"};

Position PlaceOf(const Rule& rule, std::string_view key) {
  if (!rule.value.has_value()) return rule.at;
  for (const auto& [name, at] : rule.value->places) {
    if (name == key) return at;
  }
  return rule.value_at.line != 0 ? rule.value_at : rule.at;
}

bool IsText(const Rule& rule) {
  const FieldType type = rule.path.leaf().field->type;
  return type == FieldType::kString || type == FieldType::kAnyString || type == FieldType::kStringMap;
}

// Whether a repetition of the pattern has no upper bound.
bool Unbounded(std::string_view pattern) {
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      ++i;
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      // A ']' that comes first stands for itself.
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') ++i;
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') ++i;
    } else if (c == '*' || c == '+') {
      return true;
    } else if (c == '{') {
      const size_t end = pattern.find('}', i);
      if (end != std::string_view::npos && end > i + 1 && pattern[end - 1] == ',') return true;
    }
  }
  return false;
}

bool BoundedLength(const Constraint& value) {
  return value.constant.has_value() || !value.choices.empty() || value.max_bytes.has_value() ||
         (value.matcher != nullptr && !Unbounded(value.pattern)) || value.declared || value.unchanged ||
         value.type == "integer" || value.type == "number" || value.type == "boolean" || value.min.has_value() ||
         value.max.has_value() || value.least.has_value();
}

// Text that a template or a `when` may take for code.
bool FreeText(const Rule& rule) {
  if (!rule.value.has_value()) return true;
  const Constraint& value = *rule.value;
  const bool tight = value.constant.has_value() || !value.choices.empty() || value.matcher != nullptr ||
                     value.charset == Charset::kToken || value.url.has_value() || value.type == "integer" ||
                     value.type == "number" || value.type == "boolean" || value.min.has_value() ||
                     value.max.has_value() || value.unchanged;
  return !tight;
}

bool IsOutput(std::string_view leaf) {
  return leaf.ends_with("outputs.parameters[].value") || leaf.ends_with("outputs.result") ||
         leaf.ends_with("outputs.exitCode") || leaf == "parameters[]";
}

class Linter {
 public:
  Linter(const Policy& policy, LintSink& sink) : policy_(policy), sink_(sink) {}

  void Run() {
    for (const Rule& rule : policy_.allow) {
      Wildcard(rule);
      Lengths(rule);
      Patterns(rule);
      Values(rule);
    }
    for (const Rule& rule : policy_.deny) {
      Anchors(rule);
      if (rule.message.empty())
        Add("W055", rule.at, "rule " + rule.id + " gives no reason: add message, for whoever it refuses");
    }
    for (const Rule& rule : policy_.require) {
      if (rule.message.empty())
        Add("W055", rule.at, "rule " + rule.id + " gives no reason: add message, for whoever it refuses");
    }
    for (const Check& check : policy_.checks) {
      if (check.message.empty())
        Add("W055", check.at, "check " + check.id + " gives no reason: add message, for whoever it refuses");
    }
    Shadowed();
    Redundant();
  }

 private:
  void Add(std::string_view id, Position at, std::string message, size_t length = 0) {
    sink_.Add(policy_, id, at, std::move(message), length);
  }

  void Wildcard(const Rule& rule) {
    if (rule.path.leaf().field->keys == KeyRule::kNone || rule.path.keys().empty() || !rule.path.keys().back().any)
      return;
    Add("E013", rule.path_at,
        "rule " + rule.id + ": some keys under " + rule.path.text() +
            " are protected and would be refused even so: name the keys that are meant",
        rule.path.text().size());
  }

  void Lengths(const Rule& rule) {
    if (!IsText(rule) || policy_.limits.string_bytes < kDefaultStringBytes) return;
    if (rule.value.has_value() && BoundedLength(*rule.value)) return;
    // One warning a pattern is enough: W021 says the same.
    if (rule.value.has_value() && rule.value->matcher != nullptr) return;
    Add("W023", rule.value_at.line != 0 ? rule.value_at : rule.at,
        "rule " + rule.id + " lets " + rule.path.text() + " be as long as 256 KiB: add maxBytes");
  }

  void Anchors(const Rule& rule) {
    if (!rule.value.has_value() || rule.value->matcher == nullptr) return;
    const std::string& pattern = rule.value->pattern;
    if (!pattern.starts_with('^') && !(pattern.ends_with('$') && !pattern.ends_with("\\$"))) return;
    Add("W030", PlaceOf(rule, "pattern"),
        "rule " + rule.id + ": ^ and $ have no use, as a pattern always matches the whole value");
  }

  void Patterns(const Rule& rule) {
    Anchors(rule);
    if (!rule.value.has_value() || rule.value->matcher == nullptr) return;
    const std::string& pattern = rule.value->pattern;
    if (pattern == ".*" || pattern == ".+") {
      Add("W021", PlaceOf(rule, "pattern"),
          "rule " + rule.id + ": the pattern " + pattern + " admits anything: say what the value is like");
    } else if (Unbounded(pattern) && !rule.value->max_bytes.has_value() &&
               policy_.limits.string_bytes >= kDefaultStringBytes) {
      Add("W021", PlaceOf(rule, "pattern"),
          "rule " + rule.id + ": the pattern has no bound on its length: write {1,64} for +, or add maxBytes");
    }
    for (const std::string_view text : kTemplates) {
      if (!RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *rule.value->matcher)) continue;
      Add("E031", PlaceOf(rule, "pattern"),
          "rule " + rule.id + ": the pattern can match \"" + std::string(text) +
              "\", which no value may hold: exclude braces, as [^{}] does");
      break;
    }
  }

  void Values(const Rule& rule) {
    const std::string_view leaf = rule.path.leaf().path;
    if (leaf == "requeue" && rule.value.has_value() && rule.value->least.has_value() && *rule.value->least < 1s) {
      Add("W028", PlaceOf(rule, "duration"),
          "rule " + rule.id + " lets the plugin ask to be called again within a second: let min be 1s or more");
    }
    if (leaf == "node.phase" && rule.value.has_value()) {
      for (const char* phase : {"Skipped", "Omitted", "Pending"}) {
        if (!rule.value->Names(phase)) continue;
        Add("W025", PlaceOf(rule, "enum"),
            "rule " + rule.id + " lets the node be " + phase +
                (phase == std::string_view("Pending") ? ", from which nothing ends it"
                                                      : ", which lets steps that depend on it go on"));
      }
    }
    if (IsOutput(leaf) && FreeText(rule)) {
      Add("W026", rule.value_at.line != 0 ? rule.value_at : rule.at,
          "rule " + rule.id + " lets " + rule.path.text() +
              " be free text, which a `when` or a template would take in: use charset: token, a pattern or an enum");
    }
    if (rule.value.has_value() && rule.value->url.has_value()) {
      const auto& schemes = rule.value->url->schemes;
      if (std::find(schemes.begin(), schemes.end(), "http") != schemes.end())
        Add("W027", PlaceOf(rule, "url"), "rule " + rule.id + " allows plain http: anyone between can change it");
    }
  }

  void Shadowed() {
    for (const Rule& rule : policy_.allow) {
      for (const Rule& deny : policy_.deny) {
        if (deny.value.has_value() || deny.when.has_value() || !deny.path.Covers(rule.path)) continue;
        Add("W016", rule.at,
            "rule " + rule.id + " never allows anything: rule " + deny.id + " at line " + std::to_string(deny.at.line) +
                " denies all of " + deny.path.text());
        break;
      }
    }
  }

  void Redundant() {
    for (size_t i = 0; i < policy_.allow.size(); ++i) {
      const Rule& rule = policy_.allow[i];
      for (size_t j = 0; j < policy_.allow.size(); ++j) {
        if (i == j) continue;
        const Rule& wider = policy_.allow[j];
        const bool ops = (wider.add || !rule.add) && (wider.change || !rule.change) && (wider.remove || !rule.remove);
        if (!ops || !wider.path.Covers(rule.path) || wider.when.has_value()) continue;
        const bool same = wider.path.text() == rule.path.text() && !rule.when.has_value() &&
                          ConstraintText(wider.value) == ConstraintText(rule.value);
        // Of two that are alike, the later one is told.
        if (!(same ? j < i : !wider.value.has_value())) continue;
        Add("W017", rule.at,
            "rule " + rule.id + " is not needed: rule " + wider.id + " at line " + std::to_string(wider.at.line) +
                " allows all that it allows");
        break;
      }
    }
  }

  const Policy& policy_;
  LintSink& sink_;
};

}  // namespace

void LintRules(const Policy& policy, LintSink& sink) {
  Linter(policy, sink).Run();
}

}  // namespace bulkhead::policy::tools

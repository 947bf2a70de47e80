// Reads the lists of rules of a policy document.
#include <algorithm>
#include <array>
#include <set>

#include "policy/expression.h"
#include "policy/part_reader.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

enum class RuleKind { kAllow, kDeny, kRequire };

class RuleReader : private PartReader {
 public:
  RuleReader(std::string_view text, Policy& policy, Diagnostics& diagnostics)
      : PartReader(policy, diagnostics), text_(text) {}

  void Read(Fields& spec) {
    ReadUnprotects(spec);
    policy_.allow = ReadRules(spec, "allow", RuleKind::kAllow);
    policy_.deny = ReadRules(spec, "deny", RuleKind::kDeny);
    policy_.require = ReadRules(spec, "require", RuleKind::kRequire);
    ReadChecks(spec);
  }

 private:
  void ReadUnprotects(Fields& fields) {
    const Value* const list = fields.OfKind("unprotect", Value::Kind::kArray);
    if (list == nullptr) return;
    for (const Value& item : list->items) {
      Unprotect one;
      one.at = item.at;
      Fields inner(item, "an entry of spec.unprotect", diagnostics_);
      const std::string set = Required(inner, "an entry of spec.unprotect", "set");
      if (const auto known = SetByName(set)) {
        one.set = *known;
      } else if (!set.empty()) {
        Add("E009", PlaceOf(inner, "set"), "there is no protected set \"" + EscapeForTerminal(set) + "\"",
            Nearest(set, SetNames()).value_or(""), set.size());
      }
      const bool has_path = ReadPath(inner, "an entry of spec.unprotect", one.path, one.path_at);
      one.reason = inner.String("reason").value_or("");
      if (one.reason.empty())
        Add("E055", item.at, "an entry of spec.unprotect needs \"reason\": why the risk is taken");
      auto expires = ReadDate(inner, "unprotect", "expires", one.expires_at);
      if (one.expires_at.line == 0)
        Add("E055", item.at, "an entry of spec.unprotect needs \"expires\": a day such as \"2027-01-31\"");
      inner.Done();
      if (has_path && one.set != ProtectedSet::kNone && !CanBeIn(one.path, one.set)) {
        const ProtectedSet in = one.path.set();
        Add("E009", one.path_at,
            one.path.text() + " is not in " + std::string(SetName(one.set)) + " but " +
                (in == ProtectedSet::kNone ? "in no protected set" : "in " + std::string(SetName(in))),
            SetName(in));
      }
      if (!has_path || one.set == ProtectedSet::kNone || !expires.has_value()) continue;
      one.expires = std::move(*expires);
      policy_.unprotect.push_back(std::move(one));
    }
  }

  // With a wildcard over keys, some of them may be in the set.
  static bool CanBeIn(const PathPattern& path, ProtectedSet set) {
    if (path.set() == set) return true;
    const KeyRule keys = path.leaf().field->keys;
    const bool any = !path.keys().empty() && path.keys().back().any;
    return any && ((keys == KeyRule::kLabels && set == ProtectedSet::kControllerLabels) ||
                   (keys == KeyRule::kVariables && set == ProtectedSet::kGlobals));
  }

  bool ReadPath(Fields& fields, std::string_view what, PathPattern& path, Position& at) {
    const std::string text = Required(fields, what, "path");
    at = PlaceOf(fields, "path");
    if (text.empty()) return false;
    PathPattern::Parsed parsed = PathPattern::Parse(text);
    if (!parsed.path.has_value()) {
      Add(parsed.problem.id, at, "path: " + parsed.problem.message, parsed.problem.hint, text.size());
      return false;
    }
    path = std::move(*parsed.path);
    CheckRpcs(path, at);
    return true;
  }

  // A path that no reply of the policy's methods has.
  void CheckRpcs(const PathPattern& path, Position at) {
    const auto& rpcs = policy_.match.rpcs;
    bool known = rpcs.empty();
    for (const std::string& name : rpcs) {
      const auto rpc = RpcByName(name);
      known |= !rpc.has_value() || InReply(*rpc, path.leaf_id());
    }
    if (known) return;
    std::string others;
    for (const std::string_view name : RpcNames()) {
      if (InReply(*RpcByName(name), path.leaf_id())) others += (others.empty() ? "" : " and ") + std::string(name);
    }
    Add("E015", at, "path: " + path.text() + " is in replies of " + others + ", which match.rpc does not list", {},
        path.text().size());
  }

  std::vector<Rule> ReadRules(Fields& fields, std::string_view key, RuleKind kind) {
    std::vector<Rule> rules;
    const Value* const list = fields.OfKind(key, Value::Kind::kArray);
    if (list == nullptr) return rules;
    for (const Value& item : list->items) rules.push_back(ReadRule(item, key, kind));
    return rules;
  }

  std::string ReadId(Fields& fields, std::string_view what, Position at) {
    std::string id = Required(fields, what, "id");
    if (!id.empty() && !IsId(id))
      Add("E009", PlaceOf(fields, "id"), "id may have letters, digits, '-', '_' and '.', at most 64");
    if (!id.empty() && !ids_.insert(id).second)
      Add("E090", at, "the id \"" + EscapeForTerminal(id) + "\" is taken by another rule of this policy");
    return id;
  }

  Rule ReadRule(const Value& value, std::string_view list, RuleKind kind) {
    Rule rule;
    rule.at = value.at;
    rule.remove = kind != RuleKind::kAllow;
    const std::string what = "a rule of spec." + std::string(list);
    Fields fields(value, what, diagnostics_);
    rule.id = ReadId(fields, what, value.at);
    const bool has_path = ReadPath(fields, what, rule.path, rule.path_at);
    const Value* const constraint = kind == RuleKind::kRequire ? nullptr : fields.OfKind("value", Value::Kind::kObject);
    if (constraint != nullptr && has_path) {
      rule.value_at = constraint->at;
      rule.value = ReadConstraint(*constraint, rule.path.leaf(), diagnostics_);
    }
    if (kind != RuleKind::kRequire) rule.when = ReadExpression(fields, "when");
    if (kind == RuleKind::kAllow) {
      if (has_path) CheckAllow(rule);
      ReadOps(fields, rule);
      rule.note = fields.String("note").value_or("");
      ReadLog(fields, rule);
    } else {
      rule.message = fields.String("message").value_or("");
    }
    fields.Done();
    return rule;
  }

  void CheckAllow(const Rule& rule) {
    const ProtectedSet set = rule.path.set();
    const bool freed = std::any_of(policy_.unprotect.begin(), policy_.unprotect.end(),
                                   [&](const Unprotect& one) { return one.set == set && one.path.Covers(rule.path); });
    if (set != ProtectedSet::kNone && !freed) {
      Add("E014", rule.path_at,
          "path: " + rule.path.text() + " is in the protected set " + std::string(SetName(set)) + ": " +
              std::string(SetReason(set)) + "; if it has to be, take it out with {set: " + std::string(SetName(set)) +
              ", path: ..., reason: ..., expires: ...} under spec.unprotect",
          {}, rule.path.text().size());
    }
    const bool bounded = rule.value.has_value() && rule.value->least.has_value();
    if (rule.path.leaf().field->type == FieldType::kDuration && !bounded) {
      Add("E008", rule.at, "a rule that allows requeue needs its bounds: value: {duration: {min: 1s, max: 10m}}");
    }
  }

  void ReadOps(Fields& fields, Rule& rule) {
    constexpr std::array<std::string_view, 3> kOps = {"add", "change", "remove"};
    rule.op_at = PlaceOf(fields, "op");
    if (rule.op_at.line == 0) return;
    const std::vector<std::string> ops = fields.Strings("op");
    if (ops.empty()) Add("E009", rule.op_at, "op is empty: the rule would allow nothing; write add, change or remove");
    rule.add = rule.change = rule.remove = false;
    for (const std::string& op : ops) {
      rule.add |= op == kOps[0];
      rule.change |= op == kOps[1];
      rule.remove |= op == kOps[2];
      if (std::find(kOps.begin(), kOps.end(), op) == kOps.end())
        Add("E009", rule.op_at, "op must be of add, change and remove", Nearest(op, kOps).value_or(""));
    }
  }

  void ReadLog(Fields& fields, Rule& rule) {
    const auto log = fields.String("log");
    if (!log.has_value()) return;
    rule.log_value = *log == "value";
    if (!rule.log_value)
      Add("E009", PlaceOf(fields, "log"),
          "log can only be \"value\"; leave it out to keep values out of the audit log");
  }

  std::optional<Expression> ReadExpression(Fields& fields, std::string_view key) {
    const auto source = fields.String(key);
    if (!source.has_value()) return std::nullopt;
    return CompileExpression(*source, PlaceOf(fields, key), text_, policy_.match.rpcs, /*warnings=*/true, diagnostics_);
  }

  void ReadChecks(Fields& fields) {
    const Value* const list = fields.OfKind("checks", Value::Kind::kArray);
    if (list == nullptr) return;
    for (const Value& item : list->items) {
      Check check;
      check.at = item.at;
      Fields inner(item, "an entry of spec.checks", diagnostics_);
      check.id = ReadId(inner, "an entry of spec.checks", item.at);
      if (inner.Any("expr") == nullptr) Add("E008", item.at, "an entry of spec.checks needs \"expr\"");
      auto expression = ReadExpression(inner, "expr");
      check.message = inner.String("message").value_or("");
      inner.Done();
      if (!expression.has_value()) continue;
      check.expr = std::move(*expression);
      policy_.checks.push_back(std::move(check));
    }
  }

  const std::string_view text_;
  std::set<std::string, std::less<>> ids_;
};

}  // namespace

void ReadRuleLists(Fields& spec, std::string_view text, Policy& policy, Diagnostics& diagnostics) {
  RuleReader(text, policy, diagnostics).Read(spec);
}

}  // namespace bulkhead::policy

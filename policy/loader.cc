// Reads a document of a policy file into a Policy.
#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "policy/expression.h"
#include "policy/rules.h"
#include "runner/base/fields.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy {

namespace {

constexpr int64_t kMostLimit = int64_t{1} << 30;
// Kinds of documents that may stand in the same file or folder, for others to read.
constexpr std::array<std::string_view, 2> kOtherKinds = {"HttpEgressPolicy", "MutationPolicyTest"};

enum class RuleKind { kAllow, kDeny, kRequire };

bool IsId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

bool IsDigest(std::string_view digest) {
  if (!digest.starts_with("sha256:")) return false;
  digest.remove_prefix(7);
  return digest.size() == 64 && digest.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

class PolicyReader {
 public:
  PolicyReader(std::string_view text, Diagnostics& diagnostics) : text_(text), diagnostics_(diagnostics) {}

  Policy Read(const Value& document) {
    policy_.file = diagnostics_.file();
    policy_.at = document.at;
    Fields fields(document, "the policy", diagnostics_);
    ReadVersion(fields);
    if (const Value* metadata = Needed(fields, "the policy", "metadata")) ReadMetadata(*metadata);
    if (const Value* spec = Needed(fields, "the policy", "spec")) ReadSpec(*spec);
    fields.Done();
    return std::move(policy_);
  }

 private:
  void Add(std::string_view id, Position at, std::string message, std::string_view hint = {}, size_t length = 0) {
    Diagnostic problem;
    problem.id = id;
    problem.at = at;
    problem.message = std::move(message);
    problem.hint = hint;
    problem.length = static_cast<uint32_t>(length);
    diagnostics_.Add(std::move(problem));
  }

  void ReadVersion(Fields& fields) {
    const std::string version = Required(fields, "the policy", "apiVersion");
    policy_.api_version = version;
    if (!version.empty() && version != kApiVersion && version != kOldApiVersion) {
      Add("E007", fields.Any("apiVersion")->at,
          "apiVersion must be " + std::string(kApiVersion) + ", not " + EscapeForTerminal(version), kApiVersion,
          version.size());
    }
    const std::string kind = Required(fields, "the policy", "kind");
    if (!kind.empty() && kind != "MutationPolicy") {
      Add("E007", fields.Any("kind")->at, "kind must be MutationPolicy, not " + EscapeForTerminal(kind),
          "MutationPolicy", kind.size());
    }
  }

  const Value* Needed(Fields& fields, std::string_view what, std::string_view key) {
    const Value* const value = fields.OfKind(key, Value::Kind::kObject);
    if (value == nullptr && fields.Any(key) == nullptr)
      Add("E008", fields.at(), std::string(what) + " needs \"" + std::string(key) + "\"");
    return value;
  }

  std::string Required(Fields& fields, std::string_view what, std::string_view key) {
    if (fields.Any(key) == nullptr) {
      Add("E008", fields.at(), std::string(what) + " needs \"" + std::string(key) + "\"");
      return "";
    }
    return fields.String(key).value_or("");
  }

  static Position PlaceOf(Fields& fields, std::string_view key) {
    const Value* const member = fields.Any(key);
    return member == nullptr ? Position{} : member->at;
  }

  std::optional<Date> ReadDate(Fields& fields, std::string_view what, std::string_view key, Position& at) {
    at = PlaceOf(fields, key);
    const auto text = fields.String(key);
    if (!text.has_value()) return std::nullopt;
    auto date = Date::Parse(*text);
    if (!date.has_value()) {
      Add("E009", at, std::string(what) + "." + std::string(key) + " must be a day such as \"2027-01-31\"", {},
          text->size());
    }
    return date;
  }

  void ReadMetadata(const Value& value) {
    Fields fields(value, "metadata", diagnostics_);
    policy_.name = Required(fields, "metadata", "name");
    policy_.name_at = PlaceOf(fields, "name");
    if (!policy_.name.empty() && !IsId(policy_.name))
      Add("E009", policy_.name_at, "metadata.name may have letters, digits, '-', '_' and '.', at most 64");
    policy_.owner = fields.String("owner").value_or("");
    policy_.owner_at = PlaceOf(fields, "owner");
    policy_.review_by = ReadDate(fields, "metadata", "reviewBy", policy_.review_by_at);
    fields.Done();
  }

  void ReadSpec(const Value& value) {
    Fields fields(value, "spec", diagnostics_);
    policy_.mode = OneOf(fields, "mode", policy_.mode_at, {"enforce", "warn", "audit"}, Mode::kEnforce);
    policy_.on_deny =
        OneOf(fields, "onDeny", policy_.on_deny_at, {"drop-reply", "fail-node", "fail-workflow"}, OnDeny::kFailNode);
    policy_.transport =
        OneOf(fields, "transport", policy_.transport_at, {"mtls", "plaintext-loopback"}, Transport::kMtls);
    policy_.expires = ReadDate(fields, "spec", "expires", policy_.expires_at);
    CheckExpiry();
    if (const Value* match = Needed(fields, "spec", "match")) ReadMatch(*match);
    if (const Value* limits = fields.OfKind("limits", Value::Kind::kObject)) ReadLimits(*limits);
    for (const std::string& set : fields.Strings("protect")) {
      if (set != "all") {
        Add("E009", PlaceOf(fields, "protect"),
            "spec.protect must be [all]: every protected set is always on; to take a path out of one, use unprotect");
      }
    }
    ReadUnprotects(fields);
    policy_.allow = ReadRules(fields, "allow", RuleKind::kAllow);
    policy_.deny = ReadRules(fields, "deny", RuleKind::kDeny);
    policy_.require = ReadRules(fields, "require", RuleKind::kRequire);
    ReadChecks(fields);
    fields.Done();
  }

  template <typename E>
  E OneOf(Fields& fields, std::string_view key, Position& at, std::vector<std::string_view> names, E otherwise) {
    at = PlaceOf(fields, key);
    const auto text = fields.String(key);
    if (!text.has_value()) return otherwise;
    const auto found = std::find(names.begin(), names.end(), *text);
    if (found != names.end()) return static_cast<E>(found - names.begin());
    std::string list;
    for (const std::string_view name : names) list += (list.empty() ? "" : ", ") + std::string(name);
    Add("E009", at, "spec." + std::string(key) + " must be one of " + list, Nearest(*text, names).value_or(""),
        text->size());
    return otherwise;
  }

  void CheckExpiry() {
    if (policy_.mode != Mode::kEnforce && policy_.expires_at.line == 0) {
      Add("E050", policy_.mode_at,
          "mode " + std::string(ModeName(policy_.mode)) + " needs \"expires\": a day such as \"2027-01-31\"");
    }
    if (policy_.mode == Mode::kEnforce && policy_.expires_at.line != 0)
      Add("E009", policy_.expires_at,
          "spec.expires belongs to modes warn and audit; a policy that enforces does not end");
  }

  void ReadMatch(const Value& value) {
    Match& match = policy_.match;
    match.at = value.at;
    Fields fields(value, "match", diagnostics_);
    match.plugin_at = PlaceOf(fields, "plugin");
    if (const Value* plugin = fields.OfKind("plugin", Value::Kind::kObject)) {
      Fields inner(*plugin, "match.plugin", diagnostics_);
      match.plugin = inner.String("name").value_or("");
      if (match.plugin.empty()) Add("E040", plugin->at, "match.plugin needs \"name\"; write \"*\" to mean all");
      match.digest = inner.String("digest").value_or("");
      match.digest_at = PlaceOf(inner, "digest");
      if (!match.digest.empty() && !IsDigest(match.digest))
        Add("E009", match.digest_at, "match.plugin.digest must be \"sha256:\" and 64 hexadecimal digits in lower case");
      inner.Done();
    } else if (match.plugin_at.line == 0) {
      Add("E040", value.at, "match needs \"plugin\": {name: ...}; write \"*\" to mean all");
    }
    match.rpcs = Named(fields, "rpc", match.rpc_at, "[template.execute]");
    for (const std::string& rpc : match.rpcs) {
      if (RpcByName(rpc).has_value()) continue;
      Add("E009", match.rpc_at, "match.rpc: Argo has no method \"" + EscapeForTerminal(rpc) + "\"",
          Nearest(rpc, RpcNames()).value_or(""));
    }
    match.namespaces = Named(fields, "namespaces", match.namespaces_at, "[\"*\"] to mean all");
    match.templates = Named(fields, "templates", match.templates_at, "[\"*\"] to mean all");
    match.workflow_labels_at = PlaceOf(fields, "workflowLabels");
    if (const Value* labels = fields.OfKind("workflowLabels", Value::Kind::kObject)) {
      for (const Member& label : labels->members) {
        if (label.value.is_string()) {
          match.workflow_labels.emplace_back(label.key, label.value.text);
        } else {
          Add("E009", label.value.at, "match.workflowLabels: the value of a label must be a string; quote it");
        }
      }
    }
    fields.Done();
  }

  // A list that must be there and not be empty.
  std::vector<std::string> Named(Fields& fields, std::string_view key, Position& at, std::string_view example) {
    std::vector<std::string> names = fields.Strings(key);
    const Value* const member = fields.Any(key);
    at = PlaceOf(fields, key);
    if (member == nullptr || (member->is_array() && member->items.empty())) {
      Add("E040", member == nullptr ? fields.at() : member->at,
          "match needs \"" + std::string(key) + "\": " + std::string(example));
    }
    return names;
  }

  void ReadLimits(const Value& value) {
    policy_.limits.at = value.at;
    Fields fields(value, "limits", diagnostics_);
    const auto read = [&](std::string_view key, size_t& limit) {
      if (const auto number = fields.Int(key, 1, kMostLimit)) limit = static_cast<size_t>(*number);
    };
    read("replyBytes", policy_.limits.reply_bytes);
    read("depth", policy_.limits.depth);
    read("items", policy_.limits.items);
    read("stringBytes", policy_.limits.string_bytes);
    read("requeues", policy_.limits.requeues);
    fields.Done();
  }

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
  Diagnostics& diagnostics_;
  Policy policy_;
  std::set<std::string, std::less<>> ids_;
};

}  // namespace

std::vector<Policy> ReadPolicies(std::string_view text, Diagnostics& diagnostics) {
  const std::vector<Value> documents = ParseYaml(text, diagnostics);
  std::vector<Policy> policies;
  // Half a document would only be blamed for what was not read.
  const auto& found = diagnostics.list();
  if (std::any_of(found.begin(), found.end(), [](const Diagnostic& one) { return one.id == "E000"; })) return policies;
  bool others = false;
  for (const Value& document : documents) {
    if (document.is_null()) continue;
    const Value* const kind = document.Find("kind");
    if (kind != nullptr && std::find(kOtherKinds.begin(), kOtherKinds.end(), kind->text) != kOtherKinds.end()) {
      others = true;
      continue;
    }
    policies.push_back(PolicyReader(text, diagnostics).Read(document));
  }
  if (policies.empty() && !others && !diagnostics.HasErrors()) diagnostics.Add({}, "holds no policy");
  return policies;
}

}  // namespace bulkhead::policy

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>

#include "policy/policy.h"
#include "policy/rules.h"
#include "runner/base/fields.h"
#include "runner/base/io.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy {

namespace {

constexpr std::string_view kApiVersion = "mutation.policy/v1";
constexpr size_t kMostPolicyBytes = 4U << 20U;
constexpr int64_t kMostLimit = int64_t{1} << 30;
constexpr std::array<std::string_view, 6> kRpcs = {"template.execute", "workflow.preOperate", "workflow.postOperate",
                                                   "node.preExecute",  "node.postExecute",    "parameters.add"};

enum class RuleKind { kAllow, kDeny, kRequire };

bool IsId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

// Reads one document into a Policy.
class Reader {
 public:
  Reader(std::string_view file, Diagnostics& diagnostics) : file_(file), diagnostics_(diagnostics) {}

  Policy Read(const Value& document) {
    Policy policy;
    policy.place = PlaceOf(document.at);
    Fields fields(document, "the policy", diagnostics_);
    Expect(fields, "apiVersion", kApiVersion);
    Expect(fields, "kind", "MutationPolicy");
    if (const Value* metadata = Needed(fields, "metadata")) ReadMetadata(*metadata, policy);
    if (const Value* spec = Needed(fields, "spec")) ReadSpec(*spec, policy);
    fields.Done();
    return policy;
  }

 private:
  std::string PlaceOf(Position at) const { return std::string(file_) + ":" + std::to_string(at.line); }

  void Expect(Fields& fields, std::string_view key, std::string_view expected) {
    const std::string found = fields.RequiredString(key);
    if (!found.empty() && found != expected) {
      diagnostics_.Add(fields.Any(key)->at,
                       std::string(key) + " must be " + std::string(expected) + ", not " + EscapeForTerminal(found));
    }
  }

  const Value* Needed(Fields& fields, std::string_view key) {
    const Value* const value = fields.OfKind(key, Value::Kind::kObject);
    if (value == nullptr && fields.Any(key) == nullptr)
      diagnostics_.Add(fields.at(), "the policy needs \"" + std::string(key) + "\"");
    return value;
  }

  void ReadMetadata(const Value& value, Policy& policy) {
    Fields fields(value, "metadata", diagnostics_);
    policy.name = fields.RequiredString("name");
    if (!policy.name.empty() && !IsId(policy.name))
      diagnostics_.Add(fields.Any("name")->at, "metadata.name may have letters, digits, '-', '_' and '.', at most 64");
    fields.String("owner");
    fields.String("reviewBy");
    fields.Done();
  }

  void ReadSpec(const Value& value, Policy& policy) {
    Fields fields(value, "spec", diagnostics_);
    Only(fields, "mode", {"enforce"}, "warn and audit are not supported yet");
    if (const auto transport = fields.String("transport")) {
      policy.plaintext_loopback = *transport == "plaintext-loopback";
      if (!policy.plaintext_loopback && *transport != "mtls")
        diagnostics_.Add(value.Find("transport")->at, "transport must be mtls or plaintext-loopback");
    }
    Only(fields, "onDeny", {"fail-node"}, "fail-workflow and drop-reply are not supported yet");
    if (const Value* match = fields.OfKind("match", Value::Kind::kObject)) {
      ReadMatch(*match, policy);
    } else if (fields.Any("match") == nullptr) {
      diagnostics_.Add(value.at, "spec needs \"match\": to which plugins and calls the policy applies");
    }
    policy.limits_place = policy.place;
    if (const Value* limits = fields.OfKind("limits", Value::Kind::kObject)) ReadLimits(*limits, policy);
    for (const std::string& set : fields.Strings("protect")) {
      if (set != "all")
        diagnostics_.Add(fields.Any("protect")->at, "spec.protect must be [all]: single sets are not supported yet");
    }
    for (const std::string_view later : {"unprotect", "checks"}) {
      const Value* const list = fields.OfKind(later, Value::Kind::kArray);
      if (list != nullptr && !list->items.empty())
        diagnostics_.Add(list->at, "spec." + std::string(later) + " is not supported yet; remove it");
    }
    fields.Refuse("expires", "it belongs to modes warn and audit, which are not supported yet; remove it");
    policy.allow = ReadRules(fields, "allow", RuleKind::kAllow);
    policy.deny = ReadRules(fields, "deny", RuleKind::kDeny);
    policy.require = ReadRules(fields, "require", RuleKind::kRequire);
    fields.Done();
  }

  void Only(Fields& fields, std::string_view key, std::vector<std::string_view> known, std::string_view others) {
    const auto text = fields.String(key);
    if (!text.has_value() || std::find(known.begin(), known.end(), *text) != known.end()) return;
    diagnostics_.Add(fields.Any(key)->at, "spec." + std::string(key) + " must be " + std::string(known.front()) + "; " +
                                              std::string(others) + DidYouMean(*text, known));
  }

  void ReadMatch(const Value& value, Policy& policy) {
    Fields fields(value, "match", diagnostics_);
    if (const Value* plugin = fields.OfKind("plugin", Value::Kind::kObject)) {
      Fields inner(*plugin, "match.plugin", diagnostics_);
      policy.plugin = inner.RequiredString("name");
      inner.Refuse("digest", "pinning a plugin's image is not supported yet; remove it");
      inner.Done();
    } else if (fields.Any("plugin") == nullptr) {
      diagnostics_.Add(value.at, "match needs \"plugin\": {name: ...}; write \"*\" to mean all");
    }
    policy.rpcs = Named(fields, "rpc", "[template.execute]");
    for (const std::string& rpc : policy.rpcs) {
      if (std::find(kRpcs.begin(), kRpcs.end(), rpc) == kRpcs.end()) {
        diagnostics_.Add(fields.Any("rpc")->at,
                         "match.rpc: Argo has no method \"" + EscapeForTerminal(rpc) + "\"" + DidYouMean(rpc, kRpcs));
      } else if (rpc != "template.execute") {
        diagnostics_.Add(fields.Any("rpc")->at, "match.rpc: " + rpc + " is not supported yet; remove it");
      }
    }
    policy.namespaces = Named(fields, "namespaces", "[\"*\"] to mean all");
    policy.templates = Named(fields, "templates", "[\"*\"] to mean all");
    fields.Refuse("workflowLabels", "matching by labels is not supported yet; remove it");
    fields.Done();
  }

  // A list that must be there and not be empty.
  std::vector<std::string> Named(Fields& fields, std::string_view key, std::string_view example) {
    std::vector<std::string> names = fields.Strings(key);
    const Value* const member = fields.Any(key);
    if (member == nullptr || (member->is_array() && member->items.empty())) {
      diagnostics_.Add(member == nullptr ? fields.at() : member->at,
                       "match needs \"" + std::string(key) + "\": " + std::string(example));
    }
    return names;
  }

  void ReadLimits(const Value& value, Policy& policy) {
    policy.limits_place = PlaceOf(value.at);
    Fields fields(value, "limits", diagnostics_);
    const auto read = [&](std::string_view key, size_t& limit) {
      if (const auto number = fields.Int(key, 1, kMostLimit)) limit = static_cast<size_t>(*number);
    };
    read("replyBytes", policy.limits.reply_bytes);
    read("depth", policy.limits.depth);
    read("items", policy.limits.items);
    read("stringBytes", policy.limits.string_bytes);
    fields.Done();
  }

  std::vector<Rule> ReadRules(Fields& fields, std::string_view key, RuleKind kind) {
    std::vector<Rule> rules;
    const Value* const list = fields.OfKind(key, Value::Kind::kArray);
    if (list == nullptr) return rules;
    for (const Value& item : list->items) {
      Rule rule = ReadRule(item, key, kind);
      if (!rule.id.empty() && !ids_.insert(rule.id).second)
        diagnostics_.Add(item.at, "the id \"" + rule.id + "\" is taken by another rule of this policy");
      rules.push_back(std::move(rule));
    }
    return rules;
  }

  Rule ReadRule(const Value& value, std::string_view list, RuleKind kind) {
    Rule rule;
    rule.place = PlaceOf(value.at);
    rule.remove = kind == RuleKind::kDeny;
    Fields fields(value, "a rule of spec." + std::string(list), diagnostics_);
    rule.id = fields.RequiredString("id");
    if (!rule.id.empty() && !IsId(rule.id))
      diagnostics_.Add(fields.Any("id")->at, "id may have letters, digits, '-', '_' and '.', at most 64");
    const std::string path = fields.RequiredString("path");
    bool has_path = false;
    if (!path.empty()) {
      auto parsed = PathPattern::Parse(path);
      if (!parsed.ok()) {
        diagnostics_.Add(fields.Any("path")->at, "path: " + parsed.error().message());
      } else {
        rule.path = std::move(*parsed);
        has_path = true;
      }
    }
    if (has_path && kind == RuleKind::kAllow && !rule.path.guard().empty()) {
      diagnostics_.Add(fields.Any("path")->at, "path: " + rule.path.text() + " is in the protected set " +
                                                   std::string(rule.path.guard()) +
                                                   ", which no rule can allow (unprotect is not supported yet)");
    }
    const Value* const constraint = kind == RuleKind::kRequire ? nullptr : fields.OfKind("value", Value::Kind::kObject);
    if (constraint != nullptr && has_path) rule.value = ReadConstraint(*constraint, rule.path.leaf(), diagnostics_);
    const bool needs_bounds = has_path && kind == RuleKind::kAllow && rule.path.leaf().type == FieldType::kDuration;
    if (needs_bounds && (!rule.value.has_value() || !rule.value->least.has_value())) {
      diagnostics_.Add(value.at, "a rule that allows requeue needs its bounds: value: {duration: {min: 1s, max: 10m}}");
    }
    if (kind == RuleKind::kAllow) {
      ReadOps(fields, rule);
      fields.Refuse("when", "conditions are not supported yet; remove it");
      fields.String("note");
    } else {
      rule.message = fields.String("message").value_or("");
    }
    fields.Done();
    return rule;
  }

  void ReadOps(Fields& fields, Rule& rule) {
    constexpr std::array<std::string_view, 3> kOps = {"add", "change", "remove"};
    if (fields.Any("op") == nullptr) return;
    rule.add = rule.change = rule.remove = false;
    for (const std::string& op : fields.Strings("op")) {
      rule.add |= op == kOps[0];
      rule.change |= op == kOps[1];
      rule.remove |= op == kOps[2];
      if (std::find(kOps.begin(), kOps.end(), op) == kOps.end())
        diagnostics_.Add(fields.Any("op")->at, "op must be of add, change and remove" + DidYouMean(op, kOps));
    }
  }

  const std::string_view file_;
  Diagnostics& diagnostics_;
  std::set<std::string, std::less<>> ids_;
};

// A folder stands for its policies, in name order.
Result<std::vector<std::string>> PolicyFiles(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      const std::string extension = entry.path().extension();
      const bool hidden = entry.path().filename().string().starts_with('.');
      if (!hidden && (extension == ".yaml" || extension == ".yml")) found.push_back(entry.path());
    }
    if (error) return Error(Code::kInvalidInput, path + ": " + error.message());
    if (found.empty()) return Error(Code::kInvalidInput, path + ": the folder holds no *.yaml or *.yml file");
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

}  // namespace

Result<std::vector<Policy>> ReadPolicies(std::string_view text, std::string_view file) {
  BULKHEAD_ASSIGN(const std::vector<Value> documents, ParseYaml(text, file));
  Diagnostics diagnostics{std::string(file)};
  std::vector<Policy> policies;
  bool others = false;
  for (const Value& document : documents) {
    if (document.is_null()) continue;
    // Another reader's, in the same file.
    const Value* const kind = document.Find("kind");
    if (kind != nullptr && kind->text == "HttpEgressPolicy") {
      others = true;
      continue;
    }
    policies.push_back(Reader(file, diagnostics).Read(document));
  }
  if (policies.empty() && !others) diagnostics.Add({}, "holds no policy");
  BULKHEAD_TRY(diagnostics.ToStatus());
  return policies;
}

PolicySet::PolicySet() : state_(std::make_unique<State>()) {}
PolicySet::PolicySet(PolicySet&&) noexcept = default;
PolicySet& PolicySet::operator=(PolicySet&&) noexcept = default;
PolicySet::~PolicySet() = default;

Status PolicySet::Load(std::string_view text, std::string_view file) {
  BULKHEAD_ASSIGN(std::vector<Policy> policies, ReadPolicies(text, file));
  for (size_t i = 0; i < policies.size(); ++i) {
    const Policy& policy = policies[i];
    const auto is_same = [&](const Policy& other) { return other.name == policy.name; };
    const auto loaded = std::find_if(state_->policies.begin(), state_->policies.end(), is_same);
    const auto earlier = std::find_if(policies.begin(), policies.begin() + static_cast<std::ptrdiff_t>(i), is_same);
    if (loaded == state_->policies.end() && earlier->place == policy.place) continue;
    const std::string& place = loaded != state_->policies.end() ? loaded->place : earlier->place;
    return Error(Code::kInvalidInput, policy.place + ": a policy named \"" + policy.name + "\" is also at " + place +
                                          "; audit records tell policies apart by their names");
  }
  for (Policy& policy : policies) state_->policies.push_back(std::move(policy));
  // The length keeps two texts from reading like one.
  state_->texts += std::to_string(text.size()) + "\n" + std::string(text);
  return OkStatus();
}

std::vector<std::string> PolicySet::Names() const {
  std::vector<std::string> names;
  for (const Policy& policy : state_->policies) names.push_back(policy.name);
  return names;
}

bool PolicySet::empty() const {
  return state_->policies.empty();
}

std::string PolicySet::Digest() const {
  return Sha256Hex(state_->texts);
}

Result<PolicySet> LoadPolicies(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(const std::vector<std::string> files, PolicyFiles(paths));
  PolicySet set;
  std::string errors;
  for (const std::string& file : files) {
    auto text = ReadFile(file, kMostPolicyBytes);
    Status loaded = text.ok() ? set.Load(*text, file) : Status(text.error());
    if (!loaded.ok()) errors += (errors.empty() ? "" : "\n") + loaded.error().message();
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, errors);
  return set;
}

}  // namespace bulkhead::policy

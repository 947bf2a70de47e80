// Reads a document of a policy file into a Policy.
#include <algorithm>
#include <array>

#include "policy/part_reader.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy {

namespace {

constexpr int64_t kMostLimit = int64_t{1} << 30;
// Kinds of documents that may stand in the same file or folder, for others to read.
constexpr std::array<std::string_view, 2> kOtherKinds = {"HttpEgressPolicy", "MutationPolicyTest"};

bool IsDigest(std::string_view digest) {
  if (!digest.starts_with("sha256:")) return false;
  digest.remove_prefix(7);
  return digest.size() == 64 && digest.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

class PolicyReader : private PartReader {
 public:
  PolicyReader(std::string_view text, Policy& policy, Diagnostics& diagnostics)
      : PartReader(policy, diagnostics), text_(text) {}

  void Read(const Value& document) {
    policy_.file = diagnostics_.file();
    policy_.at = document.at;
    Fields fields(document, "the policy", diagnostics_);
    ReadVersion(fields);
    if (const Value* metadata = Needed(fields, "the policy", "metadata")) ReadMetadata(*metadata);
    if (const Value* spec = Needed(fields, "the policy", "spec")) ReadSpec(*spec);
    fields.Done();
  }

 private:
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
    ReadRuleLists(fields, text_, policy_, diagnostics_);
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

  const std::string_view text_;
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
    PolicyReader(text, policies.emplace_back(), diagnostics).Read(document);
  }
  if (policies.empty() && !others && !diagnostics.HasErrors()) diagnostics.Add({}, "holds no policy");
  return policies;
}

}  // namespace bulkhead::policy

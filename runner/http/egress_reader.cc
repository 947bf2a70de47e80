// The document form of egress policies.
#include <algorithm>
#include <array>
#include <set>

#include "runner/base/fields.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"
#include "runner/http/egress.h"

namespace bulkhead::http {

namespace {

constexpr std::string_view kApiVersion = "bulkhead.dev/v1alpha1";
constexpr std::string_view kKind = "HttpEgressPolicy";
constexpr int64_t kMostResponseBytes = int64_t{64} << 20;
constexpr std::array<std::string_view, 7> kMethods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
constexpr std::array<std::string_view, 3> kKinds = {"private", "loopback", "link-local"};

bool IsId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

// Reads one document into an EgressPolicy.
class Reader {
 public:
  Reader(std::string_view file, Diagnostics& diagnostics) : file_(file), diagnostics_(diagnostics) {}

  EgressPolicy Read(const Value& document) {
    EgressPolicy policy;
    policy.place = PlaceOf(document.at);
    Fields fields(document, "the egress policy", diagnostics_);
    const std::string version = fields.RequiredString("apiVersion");
    if (!version.empty() && version != kApiVersion)
      diagnostics_.Add(fields.Any("apiVersion")->at, "apiVersion must be " + std::string(kApiVersion));
    fields.Ignore("kind");
    if (const Value* metadata = Needed(fields, "metadata", "the egress policy")) {
      Fields inner(*metadata, "metadata", diagnostics_);
      policy.name = Id(inner, "name", "metadata.name");
      inner.String("owner");
      inner.String("reviewBy");
      inner.Done();
    }
    if (const Value* spec = Needed(fields, "spec", "the egress policy")) ReadSpec(*spec, policy);
    fields.Done();
    return policy;
  }

 private:
  std::string PlaceOf(Position at) const { return std::string(file_) + ":" + std::to_string(at.line); }

  const Value* Needed(Fields& fields, std::string_view key, std::string_view what) {
    const Value* const value = fields.OfKind(key, Value::Kind::kObject);
    if (value == nullptr && fields.Any(key) == nullptr)
      diagnostics_.Add(fields.at(), std::string(what) + " needs \"" + std::string(key) + "\"");
    return value;
  }

  std::string Id(Fields& fields, std::string_view key, std::string_view what) {
    std::string id = fields.RequiredString(key);
    if (!id.empty() && !IsId(id))
      diagnostics_.Add(fields.Any(key)->at,
                       std::string(what) + " may have letters, digits, '-', '_' and '.', at most 64");
    return id;
  }

  // A list that must be there and hold something.
  std::vector<std::string> Listed(Fields& fields, std::string_view key, std::string_view what,
                                  std::string_view example) {
    std::vector<std::string> list = fields.Strings(key);
    const Value* const value = fields.Any(key);
    if (value == nullptr || (value->is_array() && value->items.empty()))
      diagnostics_.Add(value == nullptr ? fields.at() : value->at,
                       std::string(what) + " needs \"" + std::string(key) + "\", for example " + std::string(example));
    return list;
  }

  // Words of a fixed set, `otherwise` when the list is not there.
  std::vector<std::string> Words(Fields& fields, std::string_view key, std::span<const std::string_view> known,
                                 std::string_view otherwise) {
    const Value* const value = fields.Any(key);
    if (value == nullptr) return {std::string(otherwise)};
    std::vector<std::string> words = fields.Strings(key);
    if (value->is_array() && value->items.empty())
      diagnostics_.Add(value->at, std::string(key) + " is empty: leave it out for [" + std::string(otherwise) + "]");
    for (const std::string& word : words) {
      if (std::find(known.begin(), known.end(), word) == known.end())
        diagnostics_.Add(value->at, std::string(key) + ": there is no \"" + EscapeForTerminal(word) + "\"" +
                                        DidYouMean(word, known));
    }
    return words;
  }

  void ReadSpec(const Value& value, EgressPolicy& policy) {
    Fields fields(value, "spec", diagnostics_);
    if (const Value* match = Needed(fields, "match", "spec")) {
      Fields inner(*match, "match", diagnostics_);
      policy.namespaces = Listed(inner, "namespaces", "match", "[\"ci-*\"]; write [\"*\"] to mean all");
      policy.templates = Listed(inner, "templates", "match", "[\"notify-*\"]; write [\"*\"] to mean all");
      inner.Done();
    }
    if (const Value* limits = fields.OfKind("limits", Value::Kind::kObject)) ReadLimits(*limits, policy.limits);
    if (const Value* allow = fields.OfKind("allow", Value::Kind::kArray)) {
      for (const Value& rule : allow->items) policy.allow.push_back(ReadRule(rule));
    }
    fields.Done();
  }

  void ReadLimits(const Value& value, EgressLimits& limits) {
    Fields fields(value, "limits", diagnostics_);
    if (const auto bytes = fields.Int("responseBytes", 0, kMostResponseBytes))
      limits.response_bytes = static_cast<size_t>(*bytes);
    if (const auto redirects = fields.Int("redirects", 0, limits.redirects))
      limits.redirects = static_cast<int>(*redirects);
    if (const auto text = fields.String("timeout")) {
      const auto duration = ParseGoDuration(*text);
      if (duration.has_value() && duration->count() > 0) {
        limits.timeout = *duration;
      } else {
        diagnostics_.Add(fields.Any("timeout")->at, "limits.timeout must be a positive duration such as 30s or 5m");
      }
    }
    fields.Done();
  }

  EgressRule ReadRule(const Value& value) {
    EgressRule rule;
    rule.place = PlaceOf(value.at);
    Fields fields(value, "the rule", diagnostics_);
    rule.id = Id(fields, "id", "the rule's id");
    if (!rule.id.empty() && !ids_.insert(rule.id).second)
      diagnostics_.Add(fields.Any("id")->at, "the id \"" + rule.id + "\" is used by a rule before");
    ReadHosts(fields, rule);
    static constexpr std::array<std::string_view, 2> kSchemes = {"https", "http"};
    rule.schemes = Words(fields, "schemes", kSchemes, "https");
    rule.methods = Words(fields, "methods", kMethods, "GET");
    ReadPorts(fields, rule);
    ReadAddresses(fields, rule);
    rule.insecure_skip_verify = fields.Bool("insecureSkipVerify").value_or(false);
    rule.via_proxy = fields.Bool("viaProxy").value_or(false);
    if (const Value* result = fields.OfKind("result", Value::Kind::kObject)) ReadResult(*result, rule);
    fields.String("note");
    fields.Done();
    return rule;
  }

  void ReadHosts(Fields& fields, EgressRule& rule) {
    for (const std::string& host : Listed(fields, "hosts", "the rule", "[api.example.com]")) {
      const bool below = host.starts_with("*.");
      const auto canonical = CanonicalHost(below ? std::string_view(host).substr(2) : std::string_view(host));
      const Position at = fields.Any("hosts")->at;
      if (host == "*") {
        diagnostics_.Add(at, "hosts: \"*\" would open every host: name hosts, or a domain as \"*.example.com\"");
      } else if (!canonical.ok()) {
        diagnostics_.Add(at, "hosts: " + canonical.error().message());
      } else if (below && (ParseAddress(*canonical).has_value() || canonical->find('.') == std::string::npos)) {
        diagnostics_.Add(at, "hosts: \"" + EscapeForTerminal(host) +
                                 "\" would open a whole top-level domain or is an "
                                 "address: write at least two labels after \"*.\"");
      } else {
        rule.hosts.push_back(below ? "*." + *canonical : *canonical);
      }
    }
  }

  void ReadPorts(Fields& fields, EgressRule& rule) {
    const Value* const list = fields.OfKind("ports", Value::Kind::kArray);
    if (list == nullptr) return;
    if (list->items.empty()) diagnostics_.Add(list->at, "ports is empty: leave it out for the scheme's own port");
    for (const Value& item : list->items) {
      Value holder = Value::Object();
      holder.at = item.at;
      holder.members.push_back({"port", item.at, item});
      Fields one(holder, "ports", diagnostics_);
      if (const auto port = one.Int("port", 1, UINT16_MAX)) rule.ports.push_back(static_cast<uint16_t>(*port));
    }
  }

  void ReadAddresses(Fields& fields, EgressRule& rule) {
    for (const std::string& text : fields.Strings("addresses")) {
      if (text == "private") {
        rule.kinds.push_back(AddressKind::kPrivate);
      } else if (text == "loopback") {
        rule.kinds.push_back(AddressKind::kLoopback);
      } else if (text == "link-local") {
        rule.kinds.push_back(AddressKind::kLinkLocal);
      } else if (auto range = ParseRange(text); range.ok()) {
        rule.addresses.push_back(*range);
      } else {
        diagnostics_.Add(fields.Any("addresses")->at, "addresses: " + range.error().message() +
                                                          ", or private, loopback or link-local" +
                                                          DidYouMean(text, kKinds));
      }
    }
  }

  void ReadResult(const Value& value, EgressRule& rule) {
    Fields fields(value, "result", diagnostics_);
    if (const auto charset = fields.String("charset")) {
      rule.text = *charset == "any" ? ResultText::kAnyUtf8 : ResultText::kText;
      if (*charset != "any" && *charset != "text")
        diagnostics_.Add(fields.Any("charset")->at, "result.charset must be text or any");
    }
    if (const auto braces = fields.String("braces")) {
      rule.braces = *braces == "allow";
      if (*braces != "allow" && *braces != "refuse")
        diagnostics_.Add(fields.Any("braces")->at, "result.braces must be refuse or allow");
    }
    fields.Done();
  }

  const std::string_view file_;
  Diagnostics& diagnostics_;
  std::set<std::string, std::less<>> ids_;
};

bool IsEgressPolicy(const Value& document) {
  const Value* const kind = document.Find("kind");
  return kind != nullptr && kind->is_string() && kind->text == kKind;
}

}  // namespace

Status EgressPolicies::Load(std::string_view text, std::string_view file) {
  BULKHEAD_ASSIGN(const std::vector<Value> documents, ParseYaml(text, file));
  Diagnostics diagnostics{std::string(file)};
  std::vector<EgressPolicy> read;
  for (const Value& document : documents) {
    if (!IsEgressPolicy(document)) continue;
    EgressPolicy policy = Reader(file, diagnostics).Read(document);
    for (const auto* const list : {&policies_, &read}) {
      for (const EgressPolicy& other : *list) {
        if (!policy.name.empty() && other.name == policy.name)
          diagnostics.Add(document.at, "an egress policy named \"" + policy.name + "\" is also at " + other.place +
                                           "; audit records tell policies apart by their names");
      }
    }
    read.push_back(std::move(policy));
  }
  BULKHEAD_TRY(diagnostics.ToStatus());
  for (EgressPolicy& policy : read) policies_.push_back(std::move(policy));
  return OkStatus();
}

std::vector<std::string> EgressPolicies::Names() const {
  std::vector<std::string> names;
  for (const EgressPolicy& policy : policies_) names.push_back(policy.name);
  return names;
}

Result<EgressPolicies> LoadEgressPolicies(const std::vector<policy::PolicyText>& texts) {
  EgressPolicies policies;
  std::string errors;
  for (const policy::PolicyText& text : texts) {
    const Status loaded = policies.Load(text.text, text.file);
    if (!loaded.ok()) errors += (errors.empty() ? "" : "\n") + loaded.error().message();
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, errors);
  return policies;
}

Result<EgressPolicies> LoadEgressPolicies(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(const std::vector<policy::PolicyText> texts, policy::ReadPolicyTexts(paths));
  return LoadEgressPolicies(texts);
}

}  // namespace bulkhead::http

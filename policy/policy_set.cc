#include <algorithm>

#include "policy/index.h"
#include "policy/policy.h"
#include "runner/base/files.h"
#include "runner/base/io.h"
#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

constexpr size_t kMostPolicyBytes = 4U << 20U;

Error NameTaken(const Policy& policy, const std::string& place) {
  return {Code::kInvalidInput, policy.Place() + ": a policy named \"" + policy.name + "\" is also at " + place +
                                   "; audit records tell policies apart by their names"};
}

}  // namespace

PolicySet::PolicySet() : state_(std::make_unique<State>()) {}
PolicySet::PolicySet(PolicySet&&) noexcept = default;
PolicySet& PolicySet::operator=(PolicySet&&) noexcept = default;
PolicySet::~PolicySet() = default;

namespace {

bool LooksAtMore(const Policy& policy) {
  const auto looks = [](const Rule& rule) {
    return rule.when.has_value() || (rule.value.has_value() && rule.value->declared);
  };
  if (!policy.match.workflow_labels.empty() || !policy.checks.empty()) return true;
  return std::any_of(policy.allow.begin(), policy.allow.end(), looks) ||
         std::any_of(policy.deny.begin(), policy.deny.end(), looks);
}

}  // namespace

Result<PolicySet> PolicySet::FromPolicies(std::vector<Policy> policies) {
  PolicySet set;
  BULKHEAD_TRY(set.Add(std::move(policies)));
  return set;
}

Status PolicySet::Add(std::vector<Policy> policies) {
  // All names first: nothing is added of a file that is wrong.
  for (size_t i = 0; i < policies.size(); ++i) {
    const Policy& policy = policies[i];
    if (const auto taken = state_->by_name.find(policy.name); taken != state_->by_name.end())
      return NameTaken(policy, state_->policies[taken->second].Place());
    for (size_t earlier = 0; earlier < i; ++earlier) {
      if (policies[earlier].name == policy.name) return NameTaken(policy, policies[earlier].Place());
    }
  }
  for (Policy& policy : policies) {
    state_->looks_at_request = state_->looks_at_request || LooksAtMore(policy);
    state_->Add(std::move(policy));
  }
  return OkStatus();
}

Status PolicySet::Load(std::string_view text, std::string_view file) {
  Diagnostics diagnostics{std::string(file)};
  std::vector<Policy> policies = ReadPolicies(text, diagnostics);
  BULKHEAD_TRY(diagnostics.ToStatus());
  BULKHEAD_TRY(Add(std::move(policies)));
  // The length keeps two texts from reading like one.
  state_->texts += std::to_string(text.size()) + "\n" + std::string(text);
  return OkStatus();
}

bool PolicySet::LooksAtRequest() const {
  return state_->looks_at_request;
}

const std::vector<Policy>& PolicySet::policies() const {
  return state_->policies;
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

bool PolicySet::AllowsPlaintextLoopback(std::string_view plugin, std::string_view name_space) const {
  bool any = false;
  for (const Policy& policy : state_->policies) {
    const auto& namespaces = policy.match.namespaces;
    const bool matches = GlobMatches(policy.match.plugin, plugin) &&
                         std::any_of(namespaces.begin(), namespaces.end(),
                                     [&](const std::string& glob) { return GlobMatches(glob, name_space); });
    if (!matches) continue;
    if (policy.transport != Transport::kPlaintextLoopback) return false;
    any = true;
  }
  return any;
}

Result<std::vector<PolicyText>> ReadPolicyTexts(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(const std::vector<std::string> files, ExpandFolders(paths, {".yaml", ".yml"}));
  std::vector<PolicyText> texts;
  std::string errors;
  for (const std::string& file : files) {
    auto text = ReadFile(file, kMostPolicyBytes);
    if (text.ok()) {
      texts.push_back({file, std::move(*text)});
    } else {
      errors += (errors.empty() ? "" : "\n") + text.error().message();
    }
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, errors);
  return texts;
}

Result<PolicySet> LoadPolicies(const std::vector<PolicyText>& texts) {
  PolicySet set;
  std::string errors;
  for (const PolicyText& text : texts) {
    const Status loaded = set.Load(text.text, text.file);
    if (!loaded.ok()) errors += (errors.empty() ? "" : "\n") + loaded.error().message();
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, errors);
  return set;
}

Result<PolicySet> LoadPolicies(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(const std::vector<PolicyText> texts, ReadPolicyTexts(paths));
  return LoadPolicies(texts);
}

}  // namespace bulkhead::policy

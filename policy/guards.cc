#include "policy/guards.h"

#include <algorithm>
#include <array>

namespace bulkhead::policy {

namespace {

// workflow/common/common.go and util/template/placeholder.go: values that change what the controller does.
constexpr std::string_view kAbsentOutput = "__argo-internal.absent-optional-output__";
constexpr std::string_view kPlaceholder = "__argo__internal__placeholder-";

constexpr std::array<std::string_view, 5> kOrdinaryPhases = {"Pending", "Running", "Succeeded", "Failed", "Error"};

bool Contains(std::span<const std::string_view> list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

std::optional<GuardRefusal> ProtectedSet(const Mutation& mutation) {
  if (mutation.guard.empty()) return std::nullopt;
  std::string reason = "is in the protected set " + std::string(mutation.guard);
  if (mutation.guard == "argo.globals") reason += ": globalName would overwrite outputs of the whole workflow";
  if (mutation.guard == "argo.artifact-locations")
    reason += ": it would point later steps, with their credentials, at a place of the plugin's choice";
  if (mutation.guard == "argo.result-only") reason += ": a result has a name and a value, nothing else";
  return GuardRefusal{mutation.guard, reason};
}

std::optional<GuardRefusal> HarmfulValue(const Mutation& mutation, const Rule& rule, size_t most_bytes) {
  constexpr std::string_view kGuard = "argo.values";
  if (mutation.new_value == nullptr || !mutation.new_value->is_string()) return std::nullopt;
  const std::string_view text = mutation.new_value->text;
  if (text.size() > most_bytes)
    return GuardRefusal{kGuard, "is longer than " + std::to_string(most_bytes) + " bytes (limits.stringBytes)"};
  if (text.find("{{") != std::string_view::npos || text.find("}}") != std::string_view::npos) {
    return GuardRefusal{kGuard, "holds {{ or }}, which Argo would expand as a template"};
  }
  if (text == kAbsentOutput || text.starts_with(kPlaceholder))
    return GuardRefusal{kGuard, "is a marker that Argo uses internally"};
  const bool lines =
      mutation.path == "node.message" || (rule.value.has_value() && rule.value->charset == Charset::kText);
  if (!IsHarmlessText(text, lines)) {
    return GuardRefusal{
        kGuard,
        lines ? "holds control or bidirectional characters"
              : "holds control or bidirectional characters (a rule with charset: text admits tabs and line ends)"};
  }
  return std::nullopt;
}

std::optional<GuardRefusal> BadTransition(const Mutation& mutation, const Rule& rule) {
  constexpr std::string_view kGuard = "argo.transitions";
  if (mutation.path != "node.phase") return std::nullopt;
  if (mutation.new_value == nullptr) return GuardRefusal{kGuard, "can't be taken back"};
  const std::string& phase = mutation.new_value->text;
  if (phase == "Skipped" || phase == "Omitted") {
    if (rule.value.has_value() && rule.value->Names(phase)) return std::nullopt;
    return GuardRefusal{kGuard, "Skipped and Omitted let dependants go on: a rule must name them in enum or const"};
  }
  if (!Contains(kOrdinaryPhases, phase))
    return GuardRefusal{kGuard, "is no phase of Argo: Pending, Running, Succeeded, Failed or Error"};
  if (mutation.old_value == nullptr) return std::nullopt;
  const std::string& before = mutation.old_value->text;
  if (before != "Pending" && before != "Running") return GuardRefusal{kGuard, "a node that has ended stays as it is"};
  if (phase == "Pending") return GuardRefusal{kGuard, "a running node does not become Pending again"};
  return std::nullopt;
}

}  // namespace bulkhead::policy

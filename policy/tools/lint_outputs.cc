// Lints of what policies allow against what is declared: outputs of templates, leaves of Argo's types.
#include <algorithm>
#include <array>

#include "policy/tools/lint.h"
#include "runner/base/text.h"

namespace bulkhead::policy::tools {

namespace {

constexpr size_t kMostShown = 4;
constexpr std::array<std::string_view, 2> kNames = {"node.outputs.parameters[].name", "node.outputs.artifacts[].name"};

bool AnyGlob(const std::vector<std::string>& globs, std::string_view text) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) { return GlobMatches(glob, text); });
}

// Labels and digests are not told by a template: a policy that asks for them may match.
bool MayMatch(const Policy& policy, const KnownTemplate& known) {
  return AnyGlob(policy.match.rpcs, "template.execute") && GlobMatches(policy.match.plugin, known.plugin) &&
         (known.name_space.empty() || AnyGlob(policy.match.namespaces, known.name_space)) &&
         AnyGlob(policy.match.templates, known.name);
}

// A rule that brings an output into being whatever the template declares.
bool NamesOutput(const Rule& rule) {
  return rule.add && std::find(kNames.begin(), kNames.end(), rule.path.leaf().path) != kNames.end() &&
         !(rule.value.has_value() && rule.value->declared);
}

}  // namespace

void LintOutputs(const Policy& policy, LintSink& sink) {
  for (const Rule& rule : policy.allow) {
    if (!NamesOutput(rule) || !rule.path.keys().front().any) continue;
    sink.Add(policy, "E080", rule.path_at,
             "rule " + rule.id + " lets outputs of any name be returned, declared by the template or not: add " +
                 "value: {declared: true}, or name the output",
             rule.path.text().size());
  }
}

void LintDeclared(const Policy& policy, std::span<const KnownTemplate> templates, std::string_view whose,
                  LintSink& sink) {
  std::vector<const KnownTemplate*> matching;
  for (const KnownTemplate& known : templates) {
    if (MayMatch(policy, known)) matching.push_back(&known);
  }
  if (matching.empty()) return;
  for (const Rule& rule : policy.allow) {
    if (!NamesOutput(rule) || rule.path.keys().front().any) continue;
    const std::string& name = rule.path.keys().front().text;
    const bool parameters = rule.path.leaf().path == kNames[0];
    const bool declared = std::any_of(matching.begin(), matching.end(), [&](const KnownTemplate* known) {
      const auto outputs = DeclaredOutputs(&known->outputs);
      return std::any_of(outputs.begin(), outputs.end(), [&](const auto& output) {
        return output.second == name && (output.first == "parameters") == parameters;
      });
    });
    if (declared) continue;
    sink.Add(
        policy, "E080", rule.path_at,
        "rule " + rule.id + " lets the output \"" + EscapeForTerminal(name) + "\" be returned, which " +
            (matching.size() == 1 ? "the template" : "none of the " + std::to_string(matching.size()) + " templates") +
            " of " + std::string(whose) + " (such as " + matching.front()->name + " at " + matching.front()->place +
            ") declares: add value: {declared: true}, or remove the rule",
        rule.path.text().size());
  }
}

std::vector<Diagnostic> LintTemplates(std::span<const Policy> policies, std::span<const KnownTemplate> templates) {
  std::vector<Diagnostic> out;
  LintSink sink(out);
  for (const Policy& policy : policies) LintDeclared(policy, templates, "the workflows", sink);
  for (const KnownTemplate& known : templates) {
    for (const auto& [list, name] : DeclaredOutputs(&known.outputs)) {
      const std::string path = "node.outputs." + list + KeyStep(name) + ".name";
      for (const Policy& policy : policies) {
        if (!MayMatch(policy, known) ||
            std::any_of(policy.allow.begin(), policy.allow.end(),
                        [&, &key = path](const Rule& rule) { return rule.path.Matches(key); }))
          continue;
        sink.Add(policy, "W081", policy.name_at,
                 "the template " + EscapeForTerminal(known.name) + " at " + known.place + " declares the output \"" +
                     EscapeForTerminal(name) + "\", but no rule allows " + EscapeForTerminal(path));
      }
    }
  }
  return out;
}

std::vector<Diagnostic> LintNewLeaves(std::span<const Policy> policies, const std::set<std::string>& reviewed) {
  std::vector<Diagnostic> out;
  LintSink sink(out);
  for (const Policy& policy : policies) {
    std::vector<std::string> fresh;
    const auto leaves = Leaves();
    for (size_t i = 0; i < leaves.size(); ++i) {
      // What is protected stays refused without anybody's review.
      if (leaves[i].field->set != ProtectedSet::kNone || reviewed.contains(std::string(leaves[i].path))) continue;
      const bool in_reply =
          std::any_of(policy.match.rpcs.begin(), policy.match.rpcs.end(), [&](const std::string& name) {
            const auto rpc = RpcByName(name);
            return rpc.has_value() && InReply(*rpc, static_cast<uint16_t>(i));
          });
      if (in_reply) fresh.emplace_back(leaves[i].path);
    }
    if (fresh.empty()) continue;
    const size_t count = fresh.size();
    fresh.resize(std::min(count, kMostShown));
    sink.Add(policy, "W083", policy.name_at,
             "Argo's replies have " + std::to_string(count) + (count == 1 ? " field" : " fields") +
                 " that rules can allow and that were not there at the last review: " + Join(fresh, ", ") +
                 (count > kMostShown ? ", ..." : "") + "; they are refused until a rule allows them");
  }
  return out;
}

}  // namespace bulkhead::policy::tools

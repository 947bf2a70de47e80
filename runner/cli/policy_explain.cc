// bulkhead policy explain, why-not: questions to a policy.
#include <memory>

#include "policy/tools/explain.h"
#include "runner/base/text.h"
#include "runner/cli/options.h"
#include "runner/cli/policy_command.h"

namespace bulkhead::cli {

namespace {

using policy::tools::ExplainedLeaf;
using policy::tools::Explanation;

Value StringValue(std::string_view text) {
  return Value::String(std::string(text));
}

std::string PlaceOf(const ExplainedLeaf& leaf) {
  if (leaf.file.empty()) return "";
  return leaf.file + ":" + std::to_string(leaf.at.line) + ":" + std::to_string(leaf.at.column);
}

// The rule's line with a caret, without the line that names the place.
std::string Caret(const ExplainedLeaf& leaf, const policy::tools::Sources& sources) {
  const auto source = sources.find(leaf.file);
  if (source == sources.end() || leaf.at.line == 0) return "";
  policy::Diagnostic diagnostic;
  diagnostic.file = leaf.file;
  diagnostic.at = leaf.at;
  const std::string shown = policy::Render(diagnostic, source->second);
  std::string out;
  for (const std::string& line : Split(shown.substr(shown.find('\n') + 1), '\n')) {
    if (!line.empty()) out += "        " + line + "\n";
  }
  return out;
}

void PrintLeaf(const ExplainedLeaf& leaf, const policy::tools::Sources& sources) {
  const policy::tools::TrialVerdict& verdict = leaf.verdict;
  const std::string path = verdict.path.empty() ? "the reply as a whole" : EscapeForTerminal(verdict.path);
  const std::string op = verdict.path.empty() ? "" : std::string(policy::OpName(verdict.op)) + " ";
  const std::string mark = verdict.allowed ? Coloured(verdict.advice ? "  warn  " : "  ok    ", Tone::kGood)
                                           : Coloured("  DENY  ", Tone::kBad);
  Print(mark + op + path + "\n");
  const std::string place = PlaceOf(leaf);
  Print("        by " + EscapeForTerminal(verdict.by.rule) +
        (place.empty() ? " (built in)" : " at " + EscapeForTerminal(place)) +
        (verdict.by.policy.empty() ? "" : ", policy " + EscapeForTerminal(verdict.by.policy)) + "\n");
  if (!verdict.allowed || verdict.advice) {
    Print("        " + EscapeForTerminal(verdict.reason) + "\n");
    if (verdict.by.rule != "default-deny") Print(Caret(leaf, sources));
    if (!leaf.nearest_rule.empty()) {
      Print("        the nearest rule is " + EscapeForTerminal(leaf.nearest_rule) + " for " +
            EscapeForTerminal(leaf.nearest_path) + " at " + EscapeForTerminal(leaf.nearest_place) + "\n");
    }
  }
}

void PrintExplanation(const Explanation& explanation, const policy::tools::Sources& sources) {
  const policy::tools::TrialOutcome& outcome = explanation.outcome;
  std::string heading;
  if (outcome.verdict == "allow") heading = Coloured("allow", Tone::kGood) + ": every change is allowed";
  if (outcome.verdict == "not-mine") heading = "not-mine: the reply answers nothing, and nothing is changed";
  if (outcome.verdict == "deny")
    heading = Coloured("deny", Tone::kBad) +
              ": nothing of the reply is applied (onDeny: " + std::string(policy::OnDenyName(outcome.on_deny)) + ")";
  if (outcome.verdict == "error")
    heading = Coloured("error", Tone::kBad) + ": the bytes are refused before any policy is asked";
  Print(heading + "\n");
  if (outcome.verdict != "error") {
    Print("policies that match the call: " +
          (explanation.policies.empty() ? "none" : EscapeForTerminal(Join(explanation.policies, ", "))) + "\n");
  }
  for (const ExplainedLeaf& leaf : explanation.leaves) PrintLeaf(leaf, sources);
  if (outcome.allowed()) Print("the state after it: " + EscapeForTerminal(ToJson(outcome.effective)) + "\n");
}

Value ToValue(const Explanation& explanation) {
  Value value = Value::Object();
  value.Set("verdict", StringValue(explanation.outcome.verdict));
  Value policies = Value::Array();
  for (const std::string& name : explanation.policies) policies.items.push_back(StringValue(name));
  value.Set("policies", std::move(policies));
  Value leaves = Value::Array();
  for (const ExplainedLeaf& leaf : explanation.leaves) {
    Value& one = leaves.items.emplace_back(Value::Object());
    one.Set("op", StringValue(policy::OpName(leaf.verdict.op)));
    one.Set("path", StringValue(leaf.verdict.path));
    one.Set("allowed", Value::Bool(leaf.verdict.allowed));
    if (leaf.verdict.advice) one.Set("advice", Value::Bool(true));
    one.Set("rule", StringValue(leaf.verdict.by.rule));
    if (!leaf.verdict.by.policy.empty()) one.Set("policy", StringValue(leaf.verdict.by.policy));
    if (const std::string place = PlaceOf(leaf); !place.empty()) one.Set("place", StringValue(place));
    if (!leaf.verdict.reason.empty()) one.Set("reason", StringValue(leaf.verdict.reason));
    if (!leaf.nearest_rule.empty()) one.Set("nearest", StringValue(leaf.nearest_rule));
  }
  value.Set("leaves", std::move(leaves));
  if (explanation.outcome.allowed()) value.Set("effective", explanation.outcome.effective);
  return value;
}

int Explain(const std::string& reply_path, const std::vector<std::string>& paths, const ContextOptions& context,
            Format format) {
  const LoadedPolicies loaded = LoadForTool(paths);
  if (!loaded.set.has_value()) return loaded.exit;
  const auto reply = ReadReply(reply_path);
  if (!reply.ok()) return FailToRead(reply.error());
  const auto call = MakeContext(context, *loaded.set);
  if (!call.ok()) return FailToRead(call.error());
  const Explanation explanation = policy::tools::Explain(*loaded.set, *call, *reply, NowSeconds());
  if (format == Format::kTable) {
    PrintExplanation(explanation, loaded.sources);
  } else {
    PrintDocument(ToValue(explanation), format);
  }
  return explanation.outcome.allowed() || explanation.outcome.verdict == "not-mine" ? kExitOk : kExitFailed;
}

struct WhyNotOptions {
  std::string path, value;
  bool has_value = false;
  policy::Op op = policy::Op::kAdd;
  std::vector<std::string> policies;
  ContextOptions context;
};

void PrintDifferences(const std::vector<policy::tools::Difference>& list) {
  constexpr size_t kMost = 50;
  for (size_t i = 0; i < list.size() && i < kMost; ++i) {
    const policy::tools::Difference& one = list[i];
    Print("  " + EscapeForTerminal(one.ops) + " " + EscapeForTerminal(one.subject) + ": " +
          EscapeForTerminal(one.after) + (one.before.empty() ? "" : ", now " + EscapeForTerminal(one.before)) + "\n");
  }
  if (list.size() > kMost) Print("  and " + std::to_string(list.size() - kMost) + " more\n");
}

int WhyNot(const WhyNotOptions& options) {
  const LoadedPolicies loaded = LoadForTool(options.policies);
  if (!loaded.set.has_value()) return loaded.exit;
  const auto call = MakeContext(options.context, *loaded.set);
  if (!call.ok()) return FailToRead(call.error());
  const std::optional<std::string> value = options.has_value ? std::optional<std::string>(options.value) : std::nullopt;
  const auto answer = policy::tools::ExplainWhyNot(*loaded.set, *call, options.path, value, options.op, NowSeconds());
  if (!answer.ok()) return Fail(answer.error());
  if (answer->allowed_already) {
    Print("it is allowed" + (answer->allowing_rule.empty() ? "" : " by " + EscapeForTerminal(answer->allowing_rule)) +
          "\n");
    return kExitOk;
  }
  if (!answer->impossible.empty()) {
    Print(Coloured("no rule can allow it", Tone::kBad) + ": " + EscapeForTerminal(answer->impossible) + "\n");
    return kExitFailed;
  }
  Print("it is refused. The smallest change of policy " + EscapeForTerminal(answer->policy) + " that allows it:\n");
  if (!answer->unprotect.empty()) Print("  unprotect:\n");
  for (const std::string& one : answer->unprotect) Print("    - " + EscapeForTerminal(one) + "\n");
  if (!answer->rules.empty()) Print("  allow:\n");
  for (const std::string& one : answer->rules) Print("    - " + EscapeForTerminal(one) + "\n");
  Print("and all that it lets in:\n");
  PrintDifferences(answer->lets_in);
  return kExitFailed;
}

}  // namespace

void AddPolicyExplain(const Verb& policy, Action& action) {
  const Verb explain = policy.AddVerb("explain", "Say of each leaf of a reply who allows or refuses it");
  const auto reply = std::make_shared<std::string>();
  const auto paths = std::make_shared<std::vector<std::string>>();
  const auto context = std::make_shared<ContextOptions>();
  const auto format = std::make_shared<Format>(Format::kTable);
  explain.AddOption("REPLY", *reply, "The reply's bytes, as the plugin sent them; - for standard input").Required();
  explain.AddOption("-p,--policy", *paths, "Policy files, or folders of them").Required().ValueName("PATH");
  AddContext(explain, *context);
  AddOutput(explain, *format);
  explain.Footer(
      "  echo '{\"node\":{\"phase\":\"Succeeded\"}}' | bulkhead policy explain - -p policy.yaml\n\n"
      "Exit codes: 0 it would be applied; 1 it would be refused; 2 usage; 3 a policy does not compile.");
  explain.OnGiven([&action, reply, paths, context, format] {
    action = [reply, paths, context, format] { return Explain(*reply, *paths, *context, *format); };
  });
}

void AddPolicyWhyNot(const Verb& policy, Action& action) {
  const Verb why = policy.AddVerb("why-not", "Name the smallest rule that would allow a change");
  const auto options = std::make_shared<WhyNotOptions>();
  why.AddOption("PATH", options->path, "A leaf: node.message, node.outputs.parameters[ts].value, requeue").Required();
  const Option value = why.AddOption("VALUE", options->value, "What it would become (default: anything)");
  why.AddChoice("--op", options->op,
                {{"add", policy::Op::kAdd}, {"change", policy::Op::kChange}, {"remove", policy::Op::kRemove}},
                "add (default), change or remove")
      .ValueName("add|change|remove");
  why.AddOption("-p,--policy", options->policies, "Policy files, or folders of them").Required().ValueName("PATH");
  AddContext(why, options->context);
  why.Footer(
      "The rule is tried before it is shown: with it, the change passes. What else it lets in is told from the\n"
      "whole schema, as `policy diff` does. Where no rule can allow the change, the guard that stands above is "
      "named.\n\n"
      "Exit codes: 0 it is allowed already; 1 it is refused; 2 usage; 3 a policy does not compile.");
  why.OnGiven([&action, options, value] {
    options->has_value = value.Given();
    action = [options] { return WhyNot(*options); };
  });
}

}  // namespace bulkhead::cli

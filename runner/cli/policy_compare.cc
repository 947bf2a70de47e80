// bulkhead policy diff, replay, learn: policies against each other, and against what happened.
#include <fcntl.h>

#include <map>
#include <memory>

#include "policy/tools/learn.h"
#include "policy/tools/policy_diff.h"
#include "policy/tools/replay.h"
#include "runner/base/io.h"
#include "runner/base/text.h"
#include "runner/cli/options.h"
#include "runner/cli/policy_command.h"

namespace bulkhead::cli {

namespace {

using policy::tools::Difference;

Value Text(std::string_view text) {
  return Value::String(std::string(text));
}

Value Count(uint64_t count) {
  return Value::Number(static_cast<int64_t>(count));
}

// --- diff -----------------------------------------------------------------------------------------

Tone ToneOf(Difference::Kind kind) {
  if (kind == Difference::Kind::kNewlyAllowed) return Tone::kBad;
  return kind == Difference::Kind::kNewlyDenied ? Tone::kGood : Tone::kPlain;
}

int Diff(const std::string& before, const std::string& after, Format format) {
  const LoadedPolicies old_set = LoadForTool({before});
  if (!old_set.set.has_value()) return old_set.exit;
  const LoadedPolicies new_set = LoadForTool({after});
  if (!new_set.set.has_value()) return new_set.exit;
  const std::vector<Difference> list = policy::tools::DiffPolicies(old_set.set->policies(), new_set.set->policies());
  if (format == Format::kTable) {
    for (const Difference& one : list) {
      std::string line = EscapeForTerminal(one.policy) + ": " +
                         Coloured(std::string(KindName(one.kind)), ToneOf(one.kind)) + " " +
                         EscapeForTerminal(one.subject);
      if (!one.ops.empty()) line += " (" + EscapeForTerminal(one.ops) + ")";
      Print(line + "\n");
      if (!one.before.empty()) Print("  - " + EscapeForTerminal(one.before) + "\n");
      if (!one.after.empty()) Print("  + " + EscapeForTerminal(one.after) + "\n");
    }
    if (list.empty()) Print("they allow the same\n");
  } else {
    Value array = Value::Array();
    for (const Difference& one : list) {
      Value& item = array.items.emplace_back(Value::Object());
      item.Set("policy", Text(one.policy));
      item.Set("kind", Text(KindName(one.kind)));
      item.Set("subject", Text(one.subject));
      if (!one.ops.empty()) item.Set("ops", Text(one.ops));
      if (!one.before.empty()) item.Set("before", Text(one.before));
      if (!one.after.empty()) item.Set("after", Text(one.after));
    }
    Value document = Value::Object();
    document.Set("differences", std::move(array));
    PrintDocument(document, format);
  }
  return list.empty() ? kExitOk : kExitFailed;
}

// --- replay ---------------------------------------------------------------------------------------

Value ToValue(const policy::tools::ReplayReport& report) {
  Value list = Value::Array();
  for (const policy::tools::ReplayChange& one : report.list) {
    Value& item = list.items.emplace_back(Value::Object());
    item.Set("kind", Text(KindName(one.kind)));
    item.Set("plugin", Text(one.plugin));
    item.Set("op", Text(policy::OpName(one.op)));
    item.Set("path", Text(one.path));
    item.Set("byThen", Text(one.by_then));
    item.Set("byNow", Text(one.by_now));
    if (!one.place_now.empty()) item.Set("place", Text(one.place_now));
    item.Set("changes", Count(one.changes));
    item.Set("workflows", Count(one.workflows));
    item.Set("firstTime", Text(one.first_time));
    item.Set("lastTime", Text(one.last_time));
  }
  Value unneeded = Value::Array();
  for (const policy::RuleRef& rule : report.never_needed) {
    Value& item = unneeded.items.emplace_back(Value::Object());
    item.Set("policy", Text(rule.policy));
    item.Set("rule", Text(rule.rule));
    item.Set("place", Text(rule.place));
  }
  Value document = Value::Object();
  document.Set("calls", Count(report.stats.calls));
  document.Set("unreadableLines", Count(report.stats.unreadable));
  document.Set("changes", Count(report.changes));
  document.Set("same", Count(report.same));
  document.Set("refusedByGuards", Count(report.guards));
  document.Set("differences", std::move(list));
  document.Set("differencesNotListed", Count(report.beyond));
  document.Set("neverNeeded", std::move(unneeded));
  return document;
}

void PrintReplay(const policy::tools::ReplayReport& report) {
  for (const policy::tools::ReplayChange& one : report.list) {
    const bool denied = one.kind == policy::tools::ReplayChange::Kind::kNewlyDenied;
    Print(Coloured(std::string(KindName(one.kind)), denied ? Tone::kBad : Tone::kPlain) + ": " +
          EscapeForTerminal(one.plugin) + ": " + std::string(policy::OpName(one.op)) + " " +
          EscapeForTerminal(one.path) + "\n    " +
          (one.changes == 1 ? "once" : std::to_string(one.changes) + " times") + " in " +
          std::to_string(one.workflows) + (one.workflows == policy::tools::kMostWorkflows ? " or more" : "") +
          (one.workflows == 1 ? " workflow" : " workflows") + ", then by " + EscapeForTerminal(one.by_then) +
          ", now by " + EscapeForTerminal(one.by_now) +
          (one.place_now.empty() ? "" : " at " + EscapeForTerminal(one.place_now)) + "\n");
  }
  if (report.beyond > 0) Print("and " + std::to_string(report.beyond) + " changes more\n");
  for (const policy::RuleRef& rule : report.never_needed) {
    Print("never needed [W082]: rule " + EscapeForTerminal(rule.rule) + " of " + EscapeForTerminal(rule.policy) +
          " at " + EscapeForTerminal(rule.place) + "\n");
  }
  Print(std::to_string(report.stats.calls) + " calls, " + std::to_string(report.changes) +
        " changes: " + std::to_string(report.same) + " the same, " + std::to_string(report.guards) +
        " refused by guards then as now\n");
  if (report.stats.unreadable > 0)
    Print(std::to_string(report.stats.unreadable) + " lines are no records (see `bulkhead audit verify`)\n");
}

int Replay(const std::string& log, const std::vector<std::string>& paths, Format format) {
  const LoadedPolicies loaded = LoadForTool(paths);
  if (!loaded.set.has_value()) return loaded.exit;
  policy::tools::Replay replay(*loaded.set);
  const auto stats = policy::tools::ReadCallLog(log, [&](const policy::tools::LoggedCall& call) { replay.Add(call); });
  if (!stats.ok()) return FailToRead(stats.error());
  const policy::tools::ReplayReport report = replay.Take(*stats);
  if (format == Format::kTable) {
    PrintReplay(report);
  } else {
    PrintDocument(ToValue(report), format);
  }
  const bool denied =
      !report.list.empty() && report.list.front().kind == policy::tools::ReplayChange::Kind::kNewlyDenied;
  return denied ? kExitFailed : kExitOk;
}

// --- learn ----------------------------------------------------------------------------------------

struct LearnFlags {
  std::string log, output;
  policy::tools::LearnOptions options;
  int days = 30;
};

int Learn(const LearnFlags& flags) {
  policy::tools::LearnOptions options = flags.options;
  options.expires =
      FormatTimestamp(std::chrono::system_clock::now() + std::chrono::hours(24 * flags.days)).substr(0, 10);
  policy::tools::Learner learner(options);
  const auto stats =
      policy::tools::ReadCallLog(flags.log, [&](const policy::tools::LoggedCall& call) { learner.Add(call); });
  if (!stats.ok()) return FailToRead(stats.error());
  const std::string proposal = learner.Propose(*stats);
  for (const std::string& note : learner.Notes()) PrintError("note: " + note);
  if (proposal.empty())
    return Fail(Error(Code::kNotFound, flags.log + ": holds no call that changed anything (" +
                                           std::to_string(stats->calls) + " calls)"));
  policy::Diagnostics diagnostics(flags.output.empty() ? "proposal" : flags.output);
  static_cast<void>(policy::ReadPolicies(proposal, diagnostics));
  if (diagnostics.HasErrors())
    return Fail(Error(Code::kInternal, "the proposal does not load:\n" + policy::Render(diagnostics, proposal)));
  if (flags.output.empty()) {
    Print(proposal);
    return kExitOk;
  }
  // Never over a file: a policy in force must not be replaced by what a log says.
  const auto file = OpenFile(flags.output, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (!file.ok()) return Fail(file.error());
  const Status written = WriteAll(file.value().get(), proposal);
  return written.ok() ? kExitOk : Fail(written.error());
}

}  // namespace

void AddPolicyDiff(const Verb& policy, Action& action) {
  const Verb diff = policy.AddVerb("diff", "What one version allows that another does not");
  const auto before = std::make_shared<std::string>();
  const auto after = std::make_shared<std::string>();
  const auto format = std::make_shared<Format>(Format::kTable);
  diff.AddOption("OLD", *before, "A policy file, or a folder of them").Required();
  diff.AddOption("NEW", *after, "The other one").Required();
  AddOutput(diff, *format);
  diff.Footer(
      "Exhaustive over the leaves of Argo's replies, the names that rules of either side know ([*] stands for any\n"
      "other), and the ops. Protected leaves count as denied unless unprotected. Conditions on values are compared as\n"
      "written: two patterns of other text are told as different, even if they match the same.\n\n"
      "Exit codes: 0 they allow the same; 1 they differ; 2 usage; 3 a policy does not compile.");
  diff.OnGiven([&action, before, after, format] {
    action = [before, after, format] { return Diff(*before, *after, *format); };
  });
}

void AddPolicyReplay(const Verb& policy, Action& action) {
  const Verb replay = policy.AddVerb("replay", "What policies would have said to the calls of an audit log");
  const auto log = std::make_shared<std::string>();
  const auto paths = std::make_shared<std::vector<std::string>>();
  const auto format = std::make_shared<Format>(Format::kTable);
  replay.AddOption("LOG", *log, "An audit log (runner/audit/FORMAT.md)").Required();
  replay.AddOption("-p,--policy", *paths, "Policy files, or folders of them").Required().ValueName("PATH");
  AddOutput(replay, *format);
  replay.Footer(
      "A log holds paths and verdicts, but no values, except a node's phase and what rules with `log: value` allowed.\n"
      "So an answer that hangs on a value is told as \"depends on the value\". Limits, require and checks are not\n"
      "replayed. Whether the log is whole: `bulkhead audit verify`.\n\n"
      "Exit codes: 0 nothing that passed would be denied; 1 something would; 2 usage; 3 a policy does not compile.");
  replay.OnGiven(
      [&action, log, paths, format] { action = [log, paths, format] { return Replay(*log, *paths, *format); }; });
}

void AddPolicyLearn(const Verb& policy, Action& action) {
  const Verb learn = policy.AddVerb("learn", "Draft a policy from an audit log, for a person to narrow");
  const auto flags = std::make_shared<LearnFlags>();
  learn.AddOption("LOG", flags->log, "An audit log (runner/audit/FORMAT.md)").Required();
  learn.AddOption("-o,--output", flags->output, "A new file; never written over one (default: standard output)")
      .ValueName("FILE");
  learn.AddOption("--least-values", flags->options.least_values, "Different values before a rule generalises (5)")
      .Between(2, 64)
      .ValueName("N");
  learn
      .AddOption("--least-workflows", flags->options.least_workflows, "And different workflows that they came from (3)")
      .Between(1, 10'000)
      .ValueName("M");
  learn.AddOption("--days", flags->days, "How long mode audit lasts (30)").Between(1, 90).ValueName("DAYS");
  learn.AddFlag("--include-refused", flags->options.include_refused, "Also propose what was refused");
  learn.Footer(
      "What a plugin did is not what it should do, and who controls a plugin can teach a log anything: the draft is "
      "in\n"
      "mode audit with an expiry, names what was seen literally, says how often each change was seen, and never\n"
      "proposes protected paths or values with {{. Verify the log first: `bulkhead audit verify`.\n\n"
      "Exit codes: 0 a draft was written; 1 nothing to learn; 2 usage.");
  learn.OnGiven([&action, flags] { action = [flags] { return Learn(*flags); }; });
}

}  // namespace bulkhead::cli

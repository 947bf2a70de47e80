// bulkhead policy test, corpus, bench: policies put to the test.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "policy/tools/corpus.h"
#include "policy/tools/decision_bench.h"
#include "policy/tools/test_report.h"
#include "policy/tools/test_run.h"
#include "runner/base/text.h"
#include "runner/cli/policy_command.h"

namespace bulkhead::cli {

namespace {

using policy::tools::TestFormat;

// The policies that a test names, of all that were read.
Result<policy::PolicySet> PoliciesOf(const policy::tools::TestFile& test, const policy::tools::Workspace& space) {
  std::vector<policy::Policy> policies;
  std::copy_if(space.policies.begin(), space.policies.end(), std::back_inserter(policies),
               [&](const policy::Policy& one) {
                 return std::any_of(test.policies.begin(), test.policies.end(), [&](const std::string& file) {
                   std::error_code error;
                   return file == one.file || std::filesystem::equivalent(file, one.file, error);
                 });
               });
  return policy::PolicySet::FromPolicies(std::move(policies));
}

int Test(const std::vector<std::string>& paths, TestFormat format, bool verbose) {
  const auto space = policy::tools::OpenWorkspace(paths);
  if (!space.ok()) return FailToRead(space.error());
  if (space->HasErrors()) {
    Print(policy::tools::RenderAll(space->diagnostics, space->sources, policy::tools::DiagnosticFormat::kPretty));
    return kExitPolicy;
  }
  if (space->tests.empty()) {
    return Fail(
        Error(Code::kInvalidInput,
              "there is no test (kind: MutationPolicyTest) in what was given; a policy without tests proves nothing"));
  }
  std::vector<policy::tools::SuiteResult> suites;
  for (const policy::tools::TestFile& test : space->tests) {
    const auto policies = PoliciesOf(test, *space);
    if (!policies.ok()) return Fail(policies.error());
    suites.push_back(policy::tools::RunTests(test, *policies, NowSeconds()));
  }
  Print(policy::tools::RenderTests(suites, format, verbose));
  const auto failed = [](const policy::tools::SuiteResult& suite) {
    return suite.failed() > 0 || !suite.corpus_passed.empty();
  };
  if (std::any_of(suites.begin(), suites.end(), failed)) return kExitFailed;
  const auto below = [](const policy::tools::SuiteResult& suite) { return suite.below_bar(); };
  return std::any_of(suites.begin(), suites.end(), below) ? kExitBelowBar : kExitOk;
}

int Corpus(const std::vector<std::string>& paths, bool verbose) {
  const LoadedPolicies loaded = LoadForTool(paths);
  if (!loaded.set.has_value()) return loaded.exit;
  policy::tools::Trial trial(NowSeconds());
  size_t tried = 0;
  std::vector<std::string> passed;
  std::vector<std::vector<Cell>> rows;
  for (const auto& target : policy::tools::CorpusTargets(loaded.set->policies())) {
    for (const auto& hostile : policy::tools::HostileCorpus(target, loaded.set->policies())) {
      ++tried;
      const auto outcome = trial.Judge(*loaded.set, hostile.context, hostile.bytes);
      if (outcome.allowed()) passed.push_back(target.rpc + ": " + hostile.name);
      if (!verbose) continue;
      const auto refusal = std::find_if(outcome.verdicts.begin(), outcome.verdicts.end(),
                                        [](const auto& verdict) { return !verdict.allowed; });
      rows.push_back({Cell{outcome.verdict, outcome.allowed() ? Tone::kBad : Tone::kGood},
                      Cell{refusal == outcome.verdicts.end() ? "" : refusal->by.rule}, Cell{hostile.name}});
    }
  }
  if (verbose) Print(Table({"VERDICT", "BY", "REPLY"}, rows));
  for (const std::string& name : passed) Print("let through: " + EscapeForTerminal(name) + "\n");
  Print(std::to_string(tried - passed.size()) + " of " + std::to_string(tried) + " hostile replies refused\n");
  return passed.empty() ? kExitOk : kExitFailed;
}

std::string Micros(std::chrono::nanoseconds time) {
  const auto tenths = (time.count() + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " us";
}

int Bench(const std::string& reply_path, const std::vector<std::string>& paths, const ContextOptions& context,
          size_t decisions) {
  const LoadedPolicies loaded = LoadForTool(paths);
  if (!loaded.set.has_value()) return loaded.exit;
  const auto reply = ReadReply(reply_path);
  if (!reply.ok()) return FailToRead(reply.error());
  const auto call = MakeContext(context, *loaded.set);
  if (!call.ok()) return FailToRead(call.error());
  const auto report = policy::tools::BenchDecision(*loaded.set, *call, *reply, decisions, NowSeconds());
  Print(std::string(report.allowed ? "allowed" : "refused") + ", " + std::to_string(report.reply_bytes) + " bytes, " +
        std::to_string(report.decisions) + " decisions: p50 " + Micros(report.p50) + ", p90 " + Micros(report.p90) +
        ", p99 " + Micros(report.p99) + ", most " + Micros(report.most) + "\n");
  return kExitOk;
}

}  // namespace

void AddPolicyTest(const Verb& policy, Action& action) {
  const Verb test = policy.AddVerb("test", "Run the tests of policies, and test the tests");
  const auto paths = std::make_shared<std::vector<std::string>>();
  const auto format = std::make_shared<TestFormat>(TestFormat::kPretty);
  const auto verbose = std::make_shared<bool>(false);
  test.AddOption("PATH", *paths, "Test files (kind: MutationPolicyTest), or folders of them").Required();
  test.AddChoice("-o,--output", *format,
                 {{"pretty", TestFormat::kPretty},
                  {"json", TestFormat::kJson},
                  {"junit", TestFormat::kJunit},
                  {"tap", TestFormat::kTap},
                  {"github", TestFormat::kGithub}},
                 "pretty (for people), json, junit, tap or github")
      .ValueName("pretty|json|junit|tap|github");
  test.AddFlag("-v,--verbose", *verbose, "Also name the cases that pass");
  test.Footer(
      "A test file beside policy.yaml, such as policy_test.yaml:\n\n"
      "  apiVersion: bulkhead.dev/v1alpha1\n"
      "  kind: MutationPolicyTest\n"
      "  policies: [policy.yaml]\n"
      "  require: {ruleCoverage: 100, ruleKill: 100}\n"
      "  context:\n"
      "    default: {plugin: slack, workflow: {name: wf, namespace: ci}, template: {name: notify-done}, node: {phase: "
      "Running}}\n"
      "  cases:\n"
      "    - name: a message is posted\n"
      "      reply: {node: {phase: Succeeded, message: posted}}\n"
      "      expect: {verdict: allow}\n"
      "    - name: global outputs are refused\n"
      "      reply: {node: {outputs: {parameters: [{name: ts, value: \"1\", globalName: approved}]}}}\n"
      "      expect: {verdict: deny, violations: [{path: \"node.outputs.parameters[ts].globalName\", by: "
      "argo.globals}]}\n\n"
      "violations, rules and effective are compared exactly where they are given. rawReply holds bytes, replies a\n"
      "sequence. Policies are judged as in mode enforce. Then each rule is dropped, and widened in each way that can\n"
      "be: a case must notice (rule-kill). Last, replies that no policy may let through are tried (`policy "
      "corpus`).\n\n"
      "Exit codes: 0 all passed; 1 a case failed; 2 usage; 3 a file does not compile; 4 below the bars of `require`.");
  test.OnGiven([&action, paths, format, verbose] {
    action = [paths, format, verbose] { return Test(*paths, *format, *verbose); };
  });
}

void AddPolicyCorpus(const Verb& policy, Action& action) {
  const Verb corpus = policy.AddVerb("corpus", "Try the replies that no policy may let through");
  const auto paths = std::make_shared<std::vector<std::string>>();
  const auto verbose = std::make_shared<bool>(false);
  corpus.AddOption("PATH", *paths, "Policy files, or folders of them").Required();
  corpus.AddFlag("-v,--verbose", *verbose, "List each reply and what refused it");
  corpus.Footer(
      "Made from the schema for the calls that the policies match: every protected leaf, harmful values,\n"
      "transitions, keys of lists, bytes that decoders read differently. Leaves that a policy unprotects are left "
      "out.\n\n"
      "Exit codes: 0 all refused; 1 a reply was let through; 2 usage; 3 a policy does not compile.");
  corpus.OnGiven([&action, paths, verbose] { action = [paths, verbose] { return Corpus(*paths, *verbose); }; });
}

void AddPolicyBench(const Verb& policy, Action& action) {
  const Verb bench = policy.AddVerb("bench", "How long policies take to judge a reply");
  const auto reply = std::make_shared<std::string>();
  const auto paths = std::make_shared<std::vector<std::string>>();
  const auto context = std::make_shared<ContextOptions>();
  const auto decisions = std::make_shared<size_t>(20'000);
  bench.AddOption("REPLY", *reply, "The reply's bytes; - for standard input").Required();
  bench.AddOption("-p,--policy", *paths, "Policy files, or folders of them").Required().ValueName("PATH");
  AddContext(bench, *context);
  bench.AddOption("-n,--decisions", *decisions, "How many, after a tenth of them as warm-up")
      .Between(1, 10'000'000)
      .ValueName("N");
  bench.OnGiven([&action, reply, paths, context, decisions] {
    action = [reply, paths, context, decisions] { return Bench(*reply, *paths, *context, *decisions); };
  });
}

}  // namespace bulkhead::cli

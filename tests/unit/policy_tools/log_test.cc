#include <filesystem>
#include <fstream>

#include "policy/tools/learn.h"
#include "policy/tools/replay.h"
#include "runner/base/io.h"
#include "runner/base/json.h"
#include "tests/unit/policy_tools/support.h"

namespace bulkhead::policy::tools {
namespace {

// One record of a call with one verdict.
std::string Record(const std::string& workflow, const std::string& path, const std::string& more = R"("allowed":true)",
                   const std::string& time = "2026-06-01T10:00:00.000000Z") {
  std::string quoted;
  AppendJsonString(path, quoted);
  return R"({"seq":1,"time":")" + time + R"(","event":"call","workflow":")" + workflow +
         R"(","namespace":"ci","template":"t","plugin":"slack","method":"template.execute","verdicts":[{"op":"add","path":)" +
         quoted + R"(,"policy":"p","rule":"then",)" + more + R"(}],"applied":true,"phase":"Succeeded"})";
}

LoggedCall Call(const std::string& line) {
  bool readable = false;
  auto call = ReadCallRecord(line, readable);
  EXPECT_TRUE(call.has_value());
  return call.value_or(LoggedCall());
}

TEST(CallLog, ReadsCallsAndSkipsWhatIsNone) {
  auto dir = TempDir::Create("call-log");
  ASSERT_TRUE(dir.ok());
  const std::string path = dir->path() + "/log";
  std::ofstream(path) << R"({"seq":1,"event":"agent.start"})"
                      << "\n"
                      << Record("wf", "node.phase") << "\n"
                      << "not json\n"
                      << std::string(kMostLogLine + 10, 'x') << "\n"
                      << Record("wf2", "node.message");  // torn off before its line feed
  std::vector<LoggedCall> calls;
  const auto stats = ReadCallLog(path, [&](const LoggedCall& call) { calls.push_back(call); });
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->lines, 5U);
  EXPECT_EQ(stats->calls, 2U);
  EXPECT_EQ(stats->unreadable, 2U);
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].changes[0].value, "Succeeded");
  EXPECT_FALSE(calls[1].changes[0].value.has_value());
}

ReplayReport Replayed(const std::string& rules, const std::vector<std::string>& lines) {
  const PolicySet set = SetOf(PolicyText(rules));
  Replay replay(set);
  for (const std::string& line : lines) replay.Add(Call(line));
  return replay.Take({});
}

TEST(Replay, TellsWhatTheLogCanTellAndNoMore) {
  struct Case {
    const char* name;
    const char* rules;
    std::string line;
    const char* told;  // "" for the same
  };
  const std::string refused = R"("allowed":false)";
  const std::vector<Case> cases = {
      {"allowed by any value", "    - {id: m, path: node.message}\n", Record("wf", "node.message"), ""},
      {"no rule any more", "    - {id: m, path: node.progress}\n", Record("wf", "node.message"),
       "newly denied default-deny"},
      {"the op is not allowed", "    - {id: m, path: node.message, op: [change]}\n", Record("wf", "node.message"),
       "newly denied default-deny"},
      {"the value is not in the log", "    - {id: m, path: node.message, value: {maxBytes: 9}}\n",
       Record("wf", "node.message"), "depends on the value m"},
      {"the value is in the log", "    - {id: m, path: node.message, value: {maxBytes: 9}}\n",
       Record("wf", "node.message", R"("allowed":true,"value":"\"short\"")"), ""},
      {"and does not do", "    - {id: m, path: node.message, value: {maxBytes: 3}}\n",
       Record("wf", "node.message", R"("allowed":true,"value":"\"short\"")"), "newly denied m"},
      {"a phase is in the log", "    - {id: p, path: node.phase, value: {enum: [Failed]}}\n",
       Record("wf", "node.phase"), "newly denied p"},
      {"refused then, allowed now", "    - {id: m, path: node.message}\n", Record("wf", "node.message", refused),
       "newly allowed m"},
      {"refused then and now", "    - {id: m, path: node.progress}\n", Record("wf", "node.message", refused), ""},
  };
  for (const Case& c : cases) {
    const ReplayReport report = Replayed(c.rules, {c.line});
    const std::string told =
        report.list.empty() ? "" : std::string(KindName(report.list[0].kind)) + " " + report.list[0].by_now;
    EXPECT_EQ(told, c.told) << c.name;
    EXPECT_EQ(report.changes, 1U);
  }
}

TEST(Replay, WhatAGuardRefusedStaysRefused) {
  std::string line = Record("wf", "node.message", R"("allowed":false)");
  line.replace(line.find("\"then\""), 6, "\"argo.values\"");
  const ReplayReport report = Replayed("    - {id: m, path: node.message}\n", {line});
  EXPECT_EQ(report.guards, 1U);
  EXPECT_TRUE(report.list.empty());
}

// A record with these verdicts, and other fields behind them.
std::string RecordOf(const std::string& verdicts, const std::string& more) {
  return R"({"time":"2026-06-01T10:00:00Z","event":"call","workflow":"wf","namespace":"ci","template":"t","plugin":)"
         R"("slack","method":"template.execute",)" +
         more + R"("verdicts":[)" + verdicts + R"(],"applied":true,"phase":"Succeeded"})";
}

TEST(Replay, CountsWhatTheLogCannotDecideAndNamesIt) {
  const std::string phase = R"({"op":"change","path":"node.phase","allowed":true,"rule":"p"})";
  const std::string message = R"({"op":"add","path":"node.message","allowed":true,"rule":"m"})";
  const std::string rules = "    - {id: p, path: node.phase}\n    - {id: m, path: node.message}\n";
  struct Case {
    const char* what;
    std::string rest;  // of the policy
    std::string line;
    std::vector<std::string> missing;  // empty: replayed in full
  };
  const auto required = [](const char* path) {
    return std::string("  require: [{id: r, path: ") + path + ", message: m}]\n";
  };
  const std::vector<Case> cases = {
      {"nothing looks at the whole", "", RecordOf(phase, ""), {}},
      {"a check",
       "  checks: [{id: c, message: m, expr: \"has(node.phase)\"}]\n",
       RecordOf(phase, ""),
       {"check c of p"}},
      {"a required leaf that the call set", required("node.phase"), RecordOf(phase, ""), {}},
      {"a required leaf that an earlier call may have set",
       required("node.message"),
       RecordOf(phase, ""),
       {"require r of p"}},
      {"a reply's size is in the record", "  limits: {replyBytes: 64}\n", RecordOf(phase, R"("replyBytes":60,)"), {}},
      {"a reply's size is not", "  limits: {replyBytes: 64}\n", RecordOf(phase, ""), {"limits.replyBytes of p"}},
      {"depth", "  limits: {depth: 9}\n", RecordOf(phase, ""), {"limits.depth of p"}},
      {"items", "  limits: {items: 9}\n", RecordOf(phase, ""), {"limits.items of p"}},
      {"the length of a value", "  limits: {stringBytes: 9}\n", RecordOf(message, ""), {"limits.stringBytes of p"}},
      {"the length of a value that is known", "  limits: {stringBytes: 9}\n", RecordOf(phase, ""), {}},
      {"what was too long to be read",
       "",
       RecordOf(R"({"whole":true,"path":"","allowed":false,"rule":"limits.replyBytes"})", ""),
       {"all changes, which were not read"}},
      {"a check of then is no change",
       "",
       RecordOf(phase + R"(,{"whole":true,"path":"","allowed":false,"rule":"c"})", ""),
       {}},
      {"a require of then is no change",
       "",
       RecordOf(phase + R"(,{"whole":true,"path":"node.progress","allowed":false,"rule":"r"})", ""),
       {}},
      {"a refusal that is known decides",
       "  checks: [{id: c, message: m, expr: \"has(node.phase)\"}]\n",
       RecordOf(phase + R"(,{"op":"add","path":"node.progress","allowed":true,"rule":"x"})", ""),
       {}},
      {"a reply that is too long now",
       "  limits: {replyBytes: 64, depth: 9}\n",
       RecordOf(phase, R"("replyBytes":99,)"),
       {}},
  };
  for (const Case& c : cases) {
    const PolicySet set = SetOf(PolicyText(rules, c.rest));
    Replay replay(set);
    replay.Add(Call(c.line));
    const ReplayReport report = replay.Take({});
    EXPECT_EQ(report.decisions, 1U) << c.what;
    EXPECT_EQ(report.decided, c.missing.empty() ? 1U : 0U) << c.what;
    EXPECT_EQ(report.undecided.empty() ? std::vector<std::string>() : report.undecided[0].missing, c.missing) << c.what;
  }
}

TEST(Replay, AValueThatWasMaskedIsNotKnown) {
  const std::string rules = "    - {id: m, path: node.message, value: {maxBytes: 3}}\n";
  const std::string verdict = R"({"op":"add","path":"node.message","allowed":true,"rule":"m","value":"\"long\""})";
  const auto told = [&](const std::string& line) {
    const ReplayReport report = Replayed(rules, {line});
    return report.list.empty() ? "same" : std::string(KindName(report.list[0].kind));
  };
  EXPECT_EQ(told(RecordOf(verdict, "")), "newly denied");
  EXPECT_EQ(told(RecordOf(verdict, R"("masked":1,)")), "depends on the value");
}

TEST(Replay, CountsAndNamesRulesThatNobodyNeeded) {
  const ReplayReport report = Replayed(
      "    - {id: m, path: node.message}\n    - {id: q, path: node.progress}\n",
      {Record("a", "node.message"), Record("b", "node.phase"), Record("b", "node.phase"), Record("c", "node.phase")});
  ASSERT_EQ(report.list.size(), 1U);
  EXPECT_EQ(report.list[0].changes, 3U);
  EXPECT_EQ(report.list[0].workflows, 2U);
  ASSERT_EQ(report.never_needed.size(), 1U);
  EXPECT_EQ(report.never_needed[0].rule, "q");
}

std::string Learned(const std::vector<std::string>& lines, LearnOptions options = {}) {
  options.expires = "2027-02-01";
  Learner learner(options);
  CallLogStats stats;
  for (const std::string& line : lines) {
    learner.Add(Call(line));
    ++stats.calls;
  }
  const std::string text = learner.Propose(stats);
  if (!text.empty()) {
    Diagnostics diagnostics("learned");
    static_cast<void>(ReadPolicies(text, diagnostics));
    EXPECT_FALSE(diagnostics.HasErrors()) << text << "\n" << diagnostics.ToStatus().error().message();
  }
  return text;
}

std::string WithValue(const std::string& value) {
  std::string json;
  AppendJsonString(value, json);
  std::string quoted;
  AppendJsonString(json, quoted);
  return R"("allowed":true,"value":)" + quoted;
}

bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Learn, ProposesInModeAuditWithAnExpiryAndAWarning) {
  const std::string text = Learned({Record("wf", "node.phase")});
  EXPECT_TRUE(Has(text, "  mode: audit"));
  EXPECT_TRUE(Has(text, "  expires: \"2027-02-01\""));
  EXPECT_TRUE(Has(text, "whoever controls a plugin can teach it anything"));
  EXPECT_TRUE(Has(text, "plugin: {name: slack}"));
  EXPECT_TRUE(Has(text, "namespaces: [ci]"));
}

TEST(Learn, SaysHowOftenAChangeWasSeen) {
  const std::string text =
      Learned({Record("a", "node.message"), Record("b", "node.message"), Record("b", "node.phase")});
  EXPECT_TRUE(Has(text, "# seen 2/3 replies, 2 workflows, 2026-06-01 to 2026-06-01")) << text;
}

TEST(Learn, GeneralisesOnlyOverEnoughValuesOfEnoughWorkflows) {
  const auto lines = [](size_t values, size_t workflows) {
    std::vector<std::string> out;
    for (size_t i = 0; i < values; ++i)
      out.push_back(
          Record("wf" + std::to_string(i % workflows), "node.outputs.result", WithValue(std::to_string(100 + i))));
    return out;
  };
  EXPECT_TRUE(Has(Learned(lines(1, 1)), "value: {const: \"100\"}"));
  EXPECT_TRUE(Has(Learned(lines(4, 4)), "value: {enum: [\"100\", \"101\", \"102\", \"103\"]}"));
  EXPECT_TRUE(Has(Learned(lines(5, 2)), "value: {enum: ["));  // too few workflows
  EXPECT_TRUE(Has(Learned(lines(5, 3)), "value: {pattern: \"[0-9]{1,3}\"}"));
}

TEST(Learn, NeverProposesWhatIsProtectedOrATemplate) {
  EXPECT_EQ(Learned({Record("wf", "node.outputs.parameters[a].globalName")}), "");
  EXPECT_EQ(Learned({Record("wf", "node.message", WithValue("{{workflow.name}}"))}), "");
  EXPECT_EQ(Learned({Record("wf", "node.nothing")}), "");
  EXPECT_EQ(Learned({Record("wf", "parameters[x]")}), "");  // not in replies of this method
}

TEST(Learn, APhaseThatIsNoneOrSkipsIsNotProposed) {
  for (const char* phase : {"Done", "Skipped", "Omitted"}) {
    std::string line = Record("wf", "node.phase");
    line.replace(line.rfind("Succeeded"), 9, phase);
    EXPECT_TRUE(Has(Learned({line}), "value: {enum: [Running, Succeeded, Failed, Error]}")) << phase;
  }
}

TEST(Learn, WhatWasRefusedIsACommentUnlessAskedFor) {
  const std::vector<std::string> lines = {Record("wf", "node.phase"),
                                          Record("wf", "node.progress", R"("allowed":false)")};
  const std::string text = Learned(lines);
  EXPECT_TRUE(Has(text, "# refused once by then, not proposed: node.progress")) << text;
  LearnOptions options;
  options.include_refused = true;
  EXPECT_TRUE(Has(Learned(lines, options), "path: node.progress"));
}

TEST(Learn, AHostileNameStaysInsideItsScalarOrComment) {
  std::string line = Record("wf", "node.outputs.parameters[\"a\\nb: {evil: [\"].name");
  std::string refused = Record("wf", "node.outputs.parameters[\"x\\n  mode: enforce\"].value", R"("allowed":false)");
  const std::string text = Learned({line, refused, Record("wf\\n  - evil", "node.phase")});
  for (const std::string& one :
       {std::string("\nb: {evil"), std::string("\n  mode: enforce"), std::string("\n  - evil")})
    EXPECT_FALSE(Has(text, one)) << text;
}

TEST(Learn, ABurstIsPointedOut) {
  std::vector<std::string> lines(20, Record("wf", "node.message"));
  EXPECT_TRUE(Has(Learned(lines), "# beware: 20 of them within the minute 2026-06-01T10:00"));
}

}  // namespace
}  // namespace bulkhead::policy::tools

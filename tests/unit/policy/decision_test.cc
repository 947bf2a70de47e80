// What a decision is made of: modes, unprotect, selection, state over several replies, the hooks, what is applied.
#include <gtest/gtest.h>

#include "policy/policy.h"
#include "runner/base/json.h"

namespace bulkhead::policy {
namespace {

constexpr int64_t kNow = 1'800'000'000;  // 2027-01-15

std::string Document(const std::string& name, const std::string& spec,
                     const std::string& match =
                         "plugin: {name: p}, rpc: [template.execute], namespaces: [\"*\"], "
                         "templates: [\"*\"]") {
  return "---\napiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicy\nmetadata: {name: " + name +
         "}\nspec:\n  match: {" + match + "}\n" + spec;
}

class DecisionTest : public ::testing::Test {
 protected:
  void Load(const std::string& text) {
    set_ = PolicySet();
    const Status loaded = set_.Load(text, "p.yaml");
    ASSERT_TRUE(loaded.ok()) << loaded.error().message() << "\n" << text;
  }

  const Decision& Decide(const std::string& reply, const std::string& sent = "{}") {
    JsonLimits limits;
    limits.fold_keys = false;
    JsonParse parsed = ParseJson(sent, limits);
    EXPECT_TRUE(parsed.ok) << sent;
    sent_ = std::move(parsed.value);
    reply_ = reply;
    call_.sent = &sent_;
    return evaluator_.Decide(set_, call_, reply_);
  }

  // "allowed", "not mine", or the refusals as "rule path" in order.
  std::string Outcome(const std::string& reply, const std::string& sent = "{}") {
    const Decision& decision = Decide(reply, sent);
    if (decision.kind == Decision::Kind::kNotMine) return "not mine";
    if (decision.kind == Decision::Kind::kAllowed) return "allowed";
    std::string refusals;
    for (const Verdict& verdict : decision.verdicts) {
      if (verdict.allowed) continue;
      refusals += (refusals.empty() ? "" : ", ") + verdict.by.rule + (verdict.path.empty() ? "" : " ") + verdict.path;
    }
    return refusals;
  }

  PolicySet set_;
  Evaluator evaluator_;
  Call call_{.subject = {"p", "template.execute", "ns", "wf", "t"}, .now = kNow};
  Value sent_;
  std::string reply_;
};

constexpr const char* kPhase = "    - {id: phase, path: node.phase}\n";
constexpr const char* kDone = R"({"node":{"phase":"Succeeded"}})";

constexpr const char* kAll =
    "  allow:\n    - {id: phase, path: node.phase}\n    - {id: message, path: node.message, op: [add, change, "
    "remove]}\n"
    "    - {id: result, path: node.outputs.result}\n    - {id: nm, path: \"node.outputs.parameters[*].name\", op: "
    "[add, "
    "change, remove]}\n    - {id: vl, path: \"node.outputs.parameters[*].value\", op: [add, change, remove]}\n"
    "    - {id: requeue, path: requeue, value: {duration: {min: 1s, max: 1h}}}\n";

// --- modes ----------------------------------------------------------------------------------------

TEST_F(DecisionTest, AuditAdvisesUntilItExpiresAndThenRefuses) {
  for (const std::string mode : {"audit", "warn"}) {
    const auto policy = [&](const std::string& day) {
      return Document("a", "  mode: " + mode + "\n  expires: \"" + day + "\"\n  allow:\n" + kPhase);
    };
    const std::string reply = R"({"node":{"phase":"Succeeded","message":"m"}})";
    Load(policy("2027-02-01"));
    const Decision& decision = Decide(reply);
    ASSERT_EQ(decision.kind, Decision::Kind::kAllowed);
    EXPECT_EQ(decision.advised, 1U);
    ASSERT_EQ(decision.verdicts.size(), 2U);
    EXPECT_TRUE(decision.verdicts[1].advice);
    EXPECT_EQ(decision.verdicts[1].by.rule, "default-deny");
    Load(policy("2027-01-15"));  // holds until the end of its day
    EXPECT_EQ(Outcome(reply), "allowed");
    Load(policy("2027-01-14"));
    EXPECT_EQ(Outcome(reply), "default-deny node.message");
  }
}

TEST_F(DecisionTest, AuditLoosensNoGuard) {
  struct Case {
    const char* reply;
    const char* sent;
    const char* refused;
  };
  const Case cases[] = {
      {R"({"node":{"outputs":{"parameters":[{"name":"x","globalName":"g"}]}}})", "{}",
       "argo.globals node.outputs.parameters[x].globalName"},
      {R"({"node":{"message":"{{x}}"}})", "{}", "argo.values node.message"},
      {R"({"node":{"outputs":{"result":"two\nlines"}}})", "{}", "argo.values node.outputs.result"},
      {R"({"node":{"phase":"Skipped"}})", "{}", "argo.transitions node.phase"},
      {R"({"node":{"phase":"Succeeded"}})", R"({"node":{"phase":"Failed"}})", "argo.transitions node.phase"},
      {R"({"node":{"outputs":{"parameters":[{"name":"x"},{"name":"x"}]}}})", "{}",
       "argo.list-keys node.outputs.parameters[x]"},
      {R"({"node":{"phase":"Succeeded"}} x)", "{}", "decode.trailing-data"},
      {R"({"node":{"progress":"1/2"}})", "{}", "failing node.progress"},
  };
  Load(Document("a",
                "  mode: audit\n  expires: \"2027-02-01\"\n  allow:\n"
                "    - {id: failing, path: node.progress, when: \"node.outputs.parameters.none.value == 'x'\"}\n"));
  for (const Case& one : cases) EXPECT_EQ(Outcome(one.reply, one.sent), one.refused) << one.reply;
}

TEST_F(DecisionTest, ACheckThatFailsAdvisesInAuditAndOneThatErrsRefuses) {
  const auto policy = [](const std::string& expr) {
    return Document("a", "  mode: audit\n  expires: \"2027-02-01\"\n  allow:\n" + std::string(kPhase) +
                             "  checks:\n    - {id: c, expr: \"" + expr + "\", message: never}\n");
  };
  Load(policy("node.phase == 'Failed'"));
  EXPECT_EQ(Outcome(kDone), "allowed");
  EXPECT_EQ(Decide(kDone).advised, 1U);
  Load(policy("node.message == 'x'"));
  EXPECT_EQ(Outcome(kDone), "c") << "an absent field is an error, which no mode forgives";
}

// --- protected sets -------------------------------------------------------------------------------

TEST_F(DecisionTest, UnprotectNeedsItsSetItsPathAndItsTime) {
  const std::string reply = R"({"node":{"outputs":{"artifacts":[{"name":"model","s3":{"key":"models/1"}}]}}})";
  const auto policy = [](const std::string& path, const std::string& day) {
    return Document(
        "u", "  unprotect:\n    - {set: argo.artifact-locations, path: \"" + path + "\", reason: r, expires: \"" + day +
                 "\"}\n  allow:\n    - {id: nm, path: \"node.outputs.artifacts[model].name\"}\n"
                 "    - {id: k, path: \"node.outputs.artifacts[model].s3.key\", value: {prefix: models/}}\n");
  };
  Load(policy("node.outputs.artifacts[model].s3.key", "2027-02-01"));
  EXPECT_EQ(Outcome(reply), "allowed");
  EXPECT_EQ(Decide(reply).canonical, reply);
  Load(policy("node.outputs.artifacts[*].s3.key", "2027-01-14"));
  EXPECT_EQ(Outcome(reply), "argo.artifact-locations node.outputs.artifacts[model].s3.key");
}

// Beside what is unprotected, all of the same set stays as it was.
TEST_F(DecisionTest, UnprotectOpensItsPathAlone) {
  const std::string open =
      "  unprotect:\n    - {set: argo.globals, path: \"node.outputs.parameters[ts].globalName\", reason: r, expires: "
      "\"2027-02-01\"}\n  allow:\n    - {id: nm, path: \"node.outputs.parameters[*].name\"}\n    - {id: g, path: "
      "\"node.outputs.parameters[ts].globalName\"}\n";
  Load(Document("u", open));
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"parameters":[{"name":"ts","globalName":"g"}]}}})"), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"parameters":[{"name":"x","globalName":"g"}]}}})"),
            "argo.globals node.outputs.parameters[x].globalName");
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"artifacts":[{"name":"ts","globalName":"g"}]}}})"),
            "default-deny node.outputs.artifacts[ts].name, argo.globals node.outputs.artifacts[ts].globalName");
}

// Free-form leaves are judged by all the text in them, names and values, whoever unprotected them.
TEST_F(DecisionTest, NoTextIsHiddenInsideALeaf) {
  const std::string path = "\"node.outputs.artifacts[a].archive.none\"";
  Load(Document("u",
                "  unprotect:\n    - {set: argo.artifact-locations, path: " + path +
                    ", reason: r, expires: \"2027-02-01\"}\n  limits: {stringBytes: 8}\n  allow:\n    - {id: nm, path: "
                    "\"node.outputs.artifacts[a].name\"}\n    - {id: none, path: " +
                    path + "}\n"));
  const auto with = [](const std::string& value) {
    return R"({"node":{"outputs":{"artifacts":[{"name":"a","archive":{"none":)" + value + "}}]}}}";
  };
  const std::string refused = "argo.values node.outputs.artifacts[a].archive.none";
  EXPECT_EQ(Outcome(with(R"({"k":[{"x":"plain"}]})")), "allowed");
  EXPECT_EQ(Outcome(with(R"({"k":[{"x":"{{y}}"}]})")), refused);
  EXPECT_EQ(Outcome(with(R"({"k":[{"{{y}}":"x"}]})")), refused);
  EXPECT_EQ(Outcome(with(R"({"k":[{"x":"123456789"}]})")), refused) << "limits.stringBytes";
}

TEST_F(DecisionTest, TheTightestLimitOfThePoliciesHolds) {
  const auto limits = [](const std::string& name, const std::string& text) {
    return Document(name, "  limits: {" + text +
                              "}\n  allow:\n    - {id: p, path: node.phase}\n    - {id: m, path: "
                              "node.message}\n    - {id: r, path: requeue, value: {duration: {min: 1s, max: 1h}}}\n");
  };
  for (const bool first : {true, false}) {
    const std::string tight = limits("tight", "stringBytes: 8, requeues: 2");
    const std::string wide = limits("wide", "stringBytes: 80, requeues: 20");
    Load(first ? tight + wide : wide + tight);
    EXPECT_EQ(Outcome(R"({"node":{"message":"12345678"}})"), "allowed");
    EXPECT_EQ(Outcome(R"({"node":{"message":"123456789"}})"), "argo.values node.message");
    call_.requeues = 1;
    EXPECT_EQ(Outcome(R"({"node":{"phase":"Running"},"requeue":"5s"})"), "allowed");
    call_.requeues = 2;
    EXPECT_EQ(Outcome(R"({"node":{"phase":"Running"},"requeue":"5s"})"), "argo.transitions requeue");
    call_.requeues = 0;
  }
}

TEST_F(DecisionTest, AReplyThatIsNestedTooDeepIsRefused) {
  Load(Document("d", "  limits: {depth: 4}\n" + std::string(kAll)));
  EXPECT_EQ(Outcome(kDone), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"parameters":[{"name":"ts","value":"1"}]}}})"), "limits.depth");
}

// Names are text as well: of outputs, and of keys.
TEST_F(DecisionTest, NoLineEndStandsInAName) {
  Load(Document("t", "  allow:\n    - {id: nm, path: \"node.outputs.parameters[*].name\", value: {charset: text}}\n"));
  for (const char* const name : {"a\\nb", "a\\tb", "a\\u200db"}) {
    const std::string outcome =
        Outcome(R"({"node":{"outputs":{"parameters":[{"name":")" + std::string(name) + R"("}]}}})");
    EXPECT_TRUE(outcome.starts_with("argo.values ")) << name << ": " << outcome;
  }
}

TEST_F(DecisionTest, EveryMatchingPolicyHasToUnprotect) {
  const std::string allow = "  allow:\n    - {id: nm, path: \"node.outputs.artifacts[model].name\"}\n";
  const std::string key = "    - {id: k, path: \"node.outputs.artifacts[model].s3.key\"}\n";
  const std::string unprotect =
      "  unprotect:\n    - {set: argo.artifact-locations, path: \"node.outputs.artifacts[model].s3.key\", reason: r, "
      "expires: \"2027-02-01\"}\n";
  Load(Document("one", unprotect + allow + key) + Document("two", allow));
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"artifacts":[{"name":"model","s3":{"key":"x"}}]}}})"),
            "argo.artifact-locations node.outputs.artifacts[model].s3.key");
}

TEST_F(DecisionTest, AnUnprotectedLeafNeedsItsRuleInAuditToo) {
  Load(Document("u",
                "  mode: audit\n  expires: \"2027-02-01\"\n  unprotect:\n    - {set: argo.globals, path: "
                "\"node.outputs.parameters[x].globalName\", reason: r, expires: \"2027-02-01\"}\n"));
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"parameters":[{"name":"x","globalName":"g"}]}}})"),
            "default-deny node.outputs.parameters[x].globalName");
}

// Every leaf that the schema protects is refused under a policy that allows all that can be allowed.
TEST_F(DecisionTest, EveryProtectedLeafOfTheSchemaIsRefusedByItsSet) {
  std::string allow;
  size_t protected_leaves = 0;
  for (const LeafSpec& leaf : Leaves()) {
    if (leaf.field->set != ProtectedSet::kNone || leaf.field->type == FieldType::kDuration) continue;
    std::string path(leaf.path);
    for (size_t at = path.find("[]"); at != std::string::npos; at = path.find("[]", at + 3)) path.replace(at, 2, "[*]");
    allow += "    - {id: r" + std::to_string(allow.size()) + ", path: \"" + path + "\"}\n";
  }
  Load(Document("all", "  allow:\n" + allow,
                "plugin: {name: p}, rpc: [template.execute, workflow.preOperate, parameters.add], namespaces: [\"*\"], "
                "templates: [\"*\"]"));
  for (const LeafSpec& leaf : Leaves()) {
    if (leaf.field->set == ProtectedSet::kNone) continue;
    std::string value = "\"x\"";
    if (leaf.field->type == FieldType::kBool) value = "true";
    if (leaf.field->type == FieldType::kInteger) value = "1";
    if (leaf.field->type == FieldType::kStrings) value = "[\"x\"]";
    if (leaf.field->type == FieldType::kAnything) value = "{\"a\":[1]}";
    // From the leaf outwards: a.b[].c becomes {"a":{"b":[{"name":"k","c":...}]}}.
    std::string path(leaf.path);
    std::string reply = value;
    while (!path.empty()) {
      const size_t dot = path.rfind('.');
      std::string step = dot == std::string::npos ? path : path.substr(dot + 1);
      const bool keyed = step.ends_with("[]");
      if (keyed) step.resize(step.size() - 2);
      if (keyed && leaf.path.ends_with(step + "[]")) {
        reply = "{\"k\":" + reply + "}";
      } else if (keyed) {
        reply = reply.starts_with("{\"name\":") ? "[" + reply + "]" : "[{\"name\":\"k\"," + reply.substr(1) + "]";
      }
      reply = "{\"" + step + "\":" + reply + "}";
      path.resize(dot == std::string::npos ? 0 : dot);
    }
    call_.subject.rpc = leaf.path.starts_with("node") ? "template.execute" : "workflow.preOperate";
    const Decision& decision = Decide(reply);
    ASSERT_EQ(decision.kind, Decision::Kind::kRefused) << reply;
    const bool by_set = std::any_of(decision.verdicts.begin(), decision.verdicts.end(), [&](const Verdict& verdict) {
      return !verdict.allowed && verdict.by.rule == SetName(leaf.field->set);
    });
    EXPECT_TRUE(by_set) << reply << " is not refused by " << SetName(leaf.field->set) << " but by "
                        << decision.verdicts.back().by.rule << ": " << decision.verdicts.back().reason;
    ++protected_leaves;
  }
  EXPECT_GT(protected_leaves, 200U);
}

// --- selection ------------------------------------------------------------------------------------

TEST_F(DecisionTest, SeveralPoliciesIntersectAndAllRefusalsAreListed) {
  Load(Document("one", std::string("  allow:\n") + kPhase + "    - {id: m, path: node.message}\n") +
       Document("two", std::string("  allow:\n") + kPhase));
  EXPECT_EQ(Outcome(kDone), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"phase":"Succeeded","message":"m","progress":"1/2"}})"),
            "default-deny node.message, default-deny node.progress, default-deny node.progress");
}

TEST_F(DecisionTest, SelectorsAllHaveToFit) {
  const std::string digest(64, 'a');
  struct Case {
    const char* match;
    bool fits;
  };
  const Case cases[] = {
      {"plugin: {name: \"*\"}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"]", true},
      {"plugin: {name: \"p*\"}, rpc: [template.execute], namespaces: [\"n*\"], templates: [\"t\"]", true},
      {"plugin: {name: \"q*\"}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"]", false},
      {"plugin: {name: p}, rpc: [node.preExecute], namespaces: [\"*\"], templates: [\"*\"]", false},
      {"plugin: {name: p}, rpc: [template.execute], namespaces: [other, ns], templates: [\"*\"]", true},
      {"plugin: {name: p}, rpc: [template.execute], namespaces: [other], templates: [\"*\"]", false},
      {"plugin: {name: p}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"], workflowLabels: {tier: "
       "\"pro*\"}",
       true},
      {"plugin: {name: p}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"], workflowLabels: {tier: "
       "dev}",
       false},
      {"plugin: {name: p}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"], workflowLabels: {team: "
       "\"*\"}",
       false},
  };
  const Value labels = ParseJson(R"({"tier":"prod"})").value;
  call_.subject.workflow_labels = &labels;
  for (const Case& one : cases) {
    Load(Document("s", std::string("  allow:\n") + kPhase, one.match));
    EXPECT_EQ(Outcome(kDone), one.fits ? "allowed" : "default-deny node.phase") << one.match;
  }
  Load(Document("s", std::string("  allow:\n") + kPhase,
                "plugin: {name: p, digest: \"sha256:" + digest +
                    "\"}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"]"));
  EXPECT_EQ(Outcome(kDone), "default-deny node.phase") << "a pinned policy is for nothing that is not pinned";
  const std::string known = "sha256:" + digest;
  call_.subject.plugin_digest = known;
  EXPECT_EQ(Outcome(kDone), "allowed");
}

TEST_F(DecisionTest, TheHeaviestOnDenyHolds) {
  struct Case {
    const char* first;
    const char* second;
    OnDeny expected;
  };
  const Case cases[] = {{"drop-reply", "drop-reply", OnDeny::kDropReply},
                        {"drop-reply", "fail-node", OnDeny::kFailNode},
                        {"fail-workflow", "drop-reply", OnDeny::kFailWorkflow}};
  for (const Case& one : cases) {
    Load(Document("one", "  onDeny: " + std::string(one.first) + "\n") +
         Document("two", "  onDeny: " + std::string(one.second) + "\n"));
    EXPECT_EQ(Decide(kDone).on_deny, one.expected) << one.first << " " << one.second;
  }
  set_ = PolicySet();
  EXPECT_EQ(Decide(kDone).on_deny, OnDeny::kFailNode);
}

// --- state ----------------------------------------------------------------------------------------

TEST_F(DecisionTest, TheEffectiveStateIsTheReplyMergedIntoWhatWasSent) {
  struct Case {
    const char* sent;
    const char* reply;
    const char* effective;
    const char* patch;
  };
  const Case cases[] = {
      {R"({"node":{"phase":"Running","message":"m"}})", R"({"node":{"phase":"Succeeded"}})",
       R"({"node":{"message":"m","phase":"Succeeded"}})", R"({"node":{"phase":"Succeeded"}})"},
      {R"({"node":{"phase":"Running","message":"m"}})", R"({"node":{"message":null}})",
       R"({"node":{"phase":"Running"}})", R"({"node":{"message":null}})"},
      {"{}", R"({"node":{"message":null,"phase":"Running"}})", R"({"node":{"phase":"Running"}})",
       R"({"node":{"phase":"Running"}})"},
      {R"({"node":{"outputs":{"result":"r","parameters":[{"name":"a","value":"1"},{"name":"b","value":"2"}]}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"b","value":"2"},{"name":"a","value":"1"}]}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"b","value":"2"},{"name":"a","value":"1"}],"result":"r"}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"b","value":"2"},{"name":"a","value":"1"}]}}})"},
      {R"({"node":{"outputs":{"parameters":[{"name":"a","value":"1"},{"name":"b","value":"2"}]}}})",
       R"({"node":{"outputs":{"parameters":[{"value":"3","name":"b"}]}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"b","value":"3"}]}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"b","value":"3"}]}}})"},
      {R"({"node":{"outputs":{"parameters":[{"name":"a","value":"1"}]}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"a"}]}}})", R"({"node":{"outputs":{"parameters":[{"name":"a"}]}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"a"}]}}})"},
      {R"({"node":{"outputs":{"parameters":[{"name":"a","value":"1"}]}}})", R"({"node":{"outputs":{"parameters":[]}}})",
       "{}", R"({"node":{"outputs":{"parameters":[]}}})"},
      {"{}", R"({"node":{"phase":"Running","outputs":{}},"requeue":"5s"})",
       R"({"node":{"phase":"Running"},"requeue":"5s"})", R"({"node":{"phase":"Running"},"requeue":"5s"})"},
      {"{}", R"({"node":{"outputs":{"parameters":[{"name":"a","value":1},{"name":"b","value":true}]}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"a","value":"1"},{"name":"b","value":"true"}]}}})",
       R"({"node":{"outputs":{"parameters":[{"name":"a","value":"1"},{"name":"b","value":"true"}]}}})"},
      {R"({"node":{"phase":"Running","children":["x"]}})", R"({"node":{"phase":"Succeeded"}})",
       R"({"node":{"phase":"Succeeded"}})", R"({"node":{"phase":"Succeeded"}})"},
  };
  Load(Document("all", kAll));
  for (const Case& one : cases) {
    EXPECT_EQ(Outcome(one.reply, one.sent), "allowed") << one.reply;
    EXPECT_EQ(Decide(one.reply, one.sent).canonical, one.effective) << one.reply;
    EXPECT_EQ(ToJson(evaluator_.Effective()), one.effective);
    EXPECT_EQ(ToJson(evaluator_.MergePatch()), one.patch) << one.reply;
  }
}

TEST_F(DecisionTest, OnlyWhatChangesIsJudgedAndByItsOp) {
  Load(Document("ops", std::string("  allow:\n") + kPhase +
                           "    - {id: m, path: node.message, op: [add]}\n    - {id: r, path: node.outputs.result, op: "
                           "[remove]}\n"));
  EXPECT_EQ(Outcome(R"({"node":{"message":"a"}})"), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"message":"b"}})", R"({"node":{"message":"a"}})"), "m node.message");
  EXPECT_EQ(Outcome(R"({"node":{"message":"a","phase":"Running"}})", R"({"node":{"message":"a"}})"), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"message":null}})", R"({"node":{"message":"a"}})"), "m node.message");
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"result":null}}})", R"({"node":{"outputs":{"result":"a"}}})"), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"outputs":null}})", R"({"node":{"outputs":{"result":"a","exitCode":"0"}}})"),
            "default-deny node.outputs.exitCode");
}

// An entry of a list replaces the one of its name, so what it leaves out is taken away.
TEST_F(DecisionTest, WhatAnEntryLeavesOutIsRemovedAndNeedsARule) {
  const auto rules = [](const std::string& op) {
    return Document("r",
                    "  allow:\n    - {id: nm, path: \"node.outputs.parameters[*].name\"}\n    - {id: v, path: "
                    "\"node.outputs.parameters[*].value\", op: [" +
                        op + "]}\n");
  };
  const std::string sent = R"({"node":{"outputs":{"parameters":[{"name":"ts","value":"1"}]}}})";
  const std::string reply = R"({"node":{"outputs":{"parameters":[{"name":"ts"}]}}})";
  Load(rules("add, change"));
  EXPECT_EQ(Outcome(reply, sent), "v node.outputs.parameters[ts].value");
  Load(rules("remove"));
  EXPECT_EQ(Outcome(reply, sent), "allowed");
  // So are the keys of a mapping inside the entry, which are protected here.
  const std::string labels =
      R"({"node":{"outputs":{"artifacts":[{"name":"a","artifactGC":{"podMetadata":{"labels":{"x":"1","y":"2"}}}}]}}})";
  Load(Document("r", "  allow:\n    - {id: nm, path: \"node.outputs.artifacts[*].name\"}\n"));
  EXPECT_EQ(
      Outcome(R"({"node":{"outputs":{"artifacts":[{"name":"a","artifactGC":{"podMetadata":{"labels":{"x":"1"}}}}]}}})",
              labels),
      "argo.pod-security node.outputs.artifacts[a].artifactGC.podMetadata.labels[y]");
}

TEST_F(DecisionTest, RequeueIsBoundedAndCounted) {
  Load(Document("all", "  limits: {requeues: 3}\n" + std::string(kAll)));
  const std::string reply = R"({"node":{"phase":"Running"},"requeue":"5s"})";
  call_.requeues = 2;
  EXPECT_EQ(Outcome(reply), "allowed");
  EXPECT_EQ(Decide(reply).requeue, std::chrono::seconds(5));
  call_.requeues = 3;
  EXPECT_EQ(Outcome(reply), "argo.transitions requeue");
}

TEST_F(DecisionTest, RequireLooksAtTheStateAfterTheReply) {
  Load(Document("r",
                std::string(kAll) + "  require:\n    - {id: has-ts, path: \"node.outputs.parameters[ts].value\"}\n"));
  const std::string with = R"({"node":{"outputs":{"parameters":[{"name":"ts","value":"1"}]}}})";
  EXPECT_EQ(Outcome(with), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"parameters":[{"name":"x","value":"1"}]}}})"),
            "has-ts node.outputs.parameters[ts].value");
  EXPECT_EQ(Outcome(kDone, with), "allowed") << "an earlier reply gave it";
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"parameters":null}}})", with), "has-ts node.outputs.parameters[ts].value");
  EXPECT_EQ(Outcome(R"({"node":{"outputs":{"parameters":[{"name":"ts"}]}}})", with),
            "has-ts node.outputs.parameters[ts].value");
}

TEST_F(DecisionTest, ExpressionsSeeTheStateBeforeAndAfterAndTheCall) {
  const char* const good[] = {
      "node.phase == 'Succeeded'",
      "!has(node.message) || node.message != 'x'",
      "node.outputs.parameters.ts.value == '1'",
      "has(old.node) && old.node.phase == 'Running'",
      "workflow.name == 'wf' && workflow.namespace == 'ns' && workflow.labels['tier'] == 'prod'",
      "template.name == 't' && plugin.name == 'p' && rpc == 'template.execute' && requeues == 0",
  };
  const Value labels = ParseJson(R"({"tier":"prod"})").value;
  call_.subject.workflow_labels = &labels;
  const std::string reply = R"({"node":{"phase":"Succeeded","outputs":{"parameters":[{"name":"ts","value":"1"}]}}})";
  for (const char* const expr : good) {
    Load(Document("e", std::string(kAll) + "  checks:\n    - {id: c, expr: \"" + expr + "\", message: never}\n"));
    EXPECT_EQ(Outcome(reply, R"({"node":{"phase":"Running"}})"), "allowed") << expr;
    Load(Document("e", std::string(kAll) + "  checks:\n    - {id: c, expr: \"!(" + expr + ")\", message: never}\n"));
    EXPECT_EQ(Outcome(reply, R"({"node":{"phase":"Running"}})"), "c") << expr;
  }
}

TEST_F(DecisionTest, ARuleCountsOnlyWhenItsConditionIsTrue) {
  Load(Document("w", std::string("  allow:\n") + kPhase +
                         "    - {id: m, path: node.message, when: \"node.phase == 'Failed'\"}\n  deny:\n    - {id: d, "
                         "path: node.message, when: \"node.message == 'secret'\", message: not this}\n"));
  EXPECT_EQ(Outcome(R"({"node":{"phase":"Failed","message":"m"}})"), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"phase":"Succeeded","message":"m"}})"), "m node.message");
  EXPECT_EQ(Outcome(R"({"node":{"phase":"Failed","message":"secret"}})"), "d node.message");
  EXPECT_EQ(Outcome(R"({"node":{"message":"m"}})"), "m node.message") << "no phase: the condition can't be evaluated";
}

// What cannot be evaluated denies, though another rule allows.
TEST_F(DecisionTest, ADenyWhoseConditionCannotBeEvaluatedHits) {
  const auto policy = [](const std::string& mode) {
    return Document("w",
                    mode +
                        "  allow:\n    - {id: m, path: node.message}\n  deny:\n    - {id: d, path: node.message, when: "
                        "\"node.phase == 'Failed'\", message: not this}\n");
  };
  for (const std::string mode : {"", "  mode: audit\n  expires: \"2027-02-01\"\n"}) {
    Load(policy(mode));
    EXPECT_EQ(Outcome(R"({"node":{"message":"m"}})"), "d node.message") << mode;
    EXPECT_EQ(Outcome(R"({"node":{"message":"m"}})", R"({"node":{"phase":"Running"}})"), "allowed") << mode;
  }
}

// --- hooks ----------------------------------------------------------------------------------------

constexpr const char* kHooks =
    "plugin: {name: p}, rpc: [workflow.preOperate, workflow.postOperate, node.preExecute, node.postExecute, "
    "parameters.add], namespaces: [\"*\"], templates: [\"*\"]";

TEST_F(DecisionTest, TheHooksAreJudgedAgainstWhatTheyWereSent) {
  Load(Document("h",
                "  allow:\n    - {id: centre, path: 'workflow.metadata.labels[\"cost.example.com/centre\"]', value: "
                "{pattern: \"cc-[0-9]{4}\"}}\n    - {id: old, path: \"workflow.metadata.labels[old]\", op: [remove]}\n"
                "    - {id: rate, path: \"parameters[cost.rate]\", op: [add], value: {charset: token}}\n"
                "    - {id: phase, path: node.phase}\n",
                kHooks));
  const std::string sent =
      R"({"workflow":{"metadata":{"name":"wf","labels":{"old":"x","App":"1","app":"2"},"finalizers":["f"]},"spec":{"entrypoint":"main","suspend":true}}})";
  call_.subject.rpc = "workflow.preOperate";
  // The whole workflow as it was sent, with one label: a plugin may well answer so.
  EXPECT_EQ(
      Outcome(
          R"({"workflow":{"metadata":{"name":"wf","labels":{"old":"x","cost.example.com/centre":"cc-1234"},"finalizers":["f"]},"spec":{"entrypoint":"main","suspend":true}}})",
          sent),
      "allowed");
  EXPECT_EQ(ToJson(evaluator_.MergePatch()),
            R"({"workflow":{"metadata":{"labels":{"cost.example.com/centre":"cc-1234"}}}})");
  EXPECT_NE(ToJson(evaluator_.Effective()).find(R"("App":"1","app":"2")"), std::string::npos);
  EXPECT_EQ(Outcome(R"({"workflow":{"metadata":{"labels":{"old":null}}}})", sent), "allowed");
  EXPECT_EQ(ToJson(evaluator_.MergePatch()), R"({"workflow":{"metadata":{"labels":{"old":null}}}})");
  EXPECT_EQ(Outcome(R"({"workflow":{"metadata":{"labels":{"app":"3"},"name":"x"},"spec":{"suspend":false}}})", sent),
            "default-deny workflow.metadata.labels[app], argo.identity workflow.metadata.name, argo.bounds "
            "workflow.spec.suspend");
  EXPECT_EQ(Outcome(R"({"workflow":{"metadata":{"labels":null}}})", sent),
            "default-deny workflow.metadata.labels[App], default-deny workflow.metadata.labels[app]");
  EXPECT_EQ(Outcome(R"({"workflow":{"metadata":{"name":"wf"}}})", sent), "not mine") << "it changes nothing";
  call_.subject.rpc = "parameters.add";
  EXPECT_EQ(Outcome(R"({"parameters":{"cost.rate":"1.20"}})"), "allowed");
  EXPECT_EQ(Decide(R"({"parameters":{"cost.rate":"1.20"}})").canonical, R"({"parameters":{"cost.rate":"1.20"}})");
  EXPECT_EQ(Outcome(R"({"parameters":{"cost.rate":"2"}})", R"({"parameters":{"cost.rate":"1"}})"),
            "rate parameters[cost.rate]");
  call_.subject.rpc = "node.preExecute";
  EXPECT_EQ(Outcome(R"({"node":{"phase":"Failed"}})", R"({"node":{"phase":"Pending","id":"x"}})"), "allowed");
  EXPECT_EQ(Outcome(R"({"node":{"phase":"Failed"},"requeue":"5s"})"), "decode.unknown-field requeue");
}

TEST_F(DecisionTest, PostHooksHaveNothingToSay) {
  Load(Document("h", "", kHooks));
  for (const char* const rpc : {"workflow.postOperate", "node.postExecute"}) {
    call_.subject.rpc = rpc;
    for (const char* const reply : {"", " \n", "{}", "null", " {} "}) EXPECT_EQ(Outcome(reply), "not mine") << reply;
    for (const char* const reply : {"{\"a\":1}", "[]", "0", "\"\""})
      EXPECT_EQ(Outcome(reply), "decode.unexpected-body") << reply;
    EXPECT_EQ(Outcome("{"), "decode.syntax");
  }
  call_.subject.rpc = "workflow.preoperate";
  EXPECT_EQ(Outcome("{}"), "decode.unknown-method");
}

TEST_F(DecisionTest, ARepliesOwnWordThatItIsNotItsPlugins) {
  for (const char* const reply : {"{}", "null", R"({"node":null})", R"({"requeue":"5s"})"})
    EXPECT_EQ(Outcome(reply), "not mine") << reply;
  EXPECT_EQ(Outcome(R"({"node":{}})"), "default-deny");
}

}  // namespace
}  // namespace bulkhead::policy

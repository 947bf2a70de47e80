// Policy files: what is wrong is said with its id, its place and what to write instead, all of it in one pass.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "policy/diagnostic.h"
#include "policy/holder.h"
#include "policy/policy.h"
#include "policy/rules.h"

namespace bulkhead::policy {
namespace {

constexpr const char* kHead =
    "apiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicy\nmetadata: {name: x}\nspec:\n"
    "  match: {plugin: {name: p}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"]}\n";

// "E003@6:3 E010@7:20", in the order found.
std::string Ids(const std::string& text) {
  Diagnostics diagnostics("p.yaml");
  ReadPolicies(text, diagnostics);
  std::string ids;
  for (const Diagnostic& one : diagnostics.list()) {
    if (one.severity == Severity::kWarning) continue;
    ids += (ids.empty() ? "" : " ") + one.id + "@" + std::to_string(one.at.line) + ":" + std::to_string(one.at.column);
  }
  return ids;
}

TEST(PolicyFile, WhatIsWrongHasItsIdAndItsPlace) {
  struct Case {
    const char* spec;  // from line 6 on
    const char* ids;
  };
  const Case cases[] = {
      {"", ""},
      {"  alow: []\n", "E003@6:3"},
      {"  allow: []\n  allow: []\n", "E001@7:3"},
      {"  allow: &a []\n", "E002@6:10"},
      {"  allow: *a\n", "E002@6:10"},
      {"  allow: !!seq []\n", "E002@6:10"},
      {"  <<: {mode: enforce}\n", "E002@6:3"},
      {"  onDeny: yes\n", "E004@6:11 E009@6:11"},
      {"  limits: {items: 010}\n", "E004@6:19 E029@6:19"},
      {"  limits: {items: 1:30}\n", "E004@6:19 E029@6:19"},
      {"  limits: {items: 0}\n", "E009@6:19"},
      {"  mode: audit\n  expires: 2027-01-01\n", "E004@7:12"},
      {"  mode: audit\n", "E050@6:9"},
      {"  mode: audit\n  expires: \"2027-13-01\"\n", "E009@7:12"},
      {"  mode: enforced\n", "E009@6:9"},
      {"  expires: \"2027-01-01\"\n", "E009@6:12"},
      {"  onDeny: fail\n", "E009@6:11"},
      {"  transport: plain\n", "E009@6:14"},
      {"  protect: [argo.code]\n", "E009@6:12"},
      {"  unprotect:\n    - {set: argo.globals, path: \"node.outputs.parameters[x].globalName\"}\n",
       "E055@7:7 E055@7:7"},
      {"  unprotect:\n    - {set: argo.global, path: node.phase, reason: r, expires: \"2027-01-01\"}\n", "E009@7:13"},
      {"  unprotect:\n    - {set: argo.code, path: \"node.outputs.parameters[x].globalName\", reason: r, expires: "
       "\"2027-01-01\"}\n",
       "E009@7:30"},
      {"  allow:\n    - {id: a, path: node.phse}\n", "E010@7:21"},
      {"  allow:\n    - {id: a, path: node.phase.x}\n", "E010@7:21"},
      {"  allow:\n    - {id: a, path: node.outputs}\n", "E011@7:21"},
      {"  allow:\n    - {id: a, path: \"node.outputs.parameters\"}\n", "E011@7:21"},
      {"  allow:\n    - {id: a, path: \"node.outputs.parameters[x]\"}\n", "E011@7:21"},
      {"  allow:\n    - {id: a, path: \"node.outputs.parameters[0].value\"}\n", "E012@7:21"},
      {"  allow:\n    - {id: a, path: \"node.outputs.parameters[x].globalName\"}\n", "E014@7:21"},
      {"  allow:\n    - {id: a, path: \"workflow.metadata.labels[a]\"}\n", "E015@7:21"},
      {"  allow:\n    - {id: a, path: node.phase, value: {pattern: \"(\"}}\n", "E020@7:50"},
      {"  allow:\n    - {id: a, path: node.phase, value: {enum: [Suceeded]}}\n", "E024@7:40"},
      {"  allow:\n    - {id: a, path: node.phase, value: {duration: {min: 1s, max: 2s}}}\n", "E029@7:40"},
      {"  allow:\n    - {id: a, path: node.message, value: {url: {schemes: [https]}}}\n", "E008@7:48"},
      {"  allow:\n    - {id: a, path: node.message, value: {declared: true}}\n", "E029@7:42"},
      {"  allow:\n    - {id: a, path: node.message, value: {prefix: prod}}\n", "E009@7:51"},
      {"  allow:\n    - {id: a, path: node.message, value: {}}\n", "E009@7:42"},
      {"  allow:\n    - {id: a, path: requeue}\n", "E008@7:7"},
      {"  allow:\n    - {id: a, path: node.phase, op: []}\n", "E009@7:37"},
      {"  allow:\n    - {id: a, path: node.phase, op: [ad]}\n", "E009@7:37"},
      {"  allow:\n    - {id: a, path: node.phase, when: \"nod.phase == 'x'\"}\n", "E061@7:40"},
      {"  allow:\n    - {path: node.phase}\n", "E008@7:7"},
      {"  checks:\n    - {id: c, expr: 'node.phase == 1'}\n", "E060@7:33"},
      {"  checks:\n    - {id: c, expr: \"node.phase = 'x'\"}\n", "E065@7:33"},
      {"  allow:\n    - {id: a, path: node.phase}\n  deny:\n    - {id: a, path: node.phase}\n", "E090@9:7"},
      {"  alow: []\n  mode: enforced\n  allow:\n    - {id: a, path: node.phse, vale: 1}\n",
       "E009@7:9 E010@9:21 E003@9:32 E003@6:3"},
  };
  for (const Case& one : cases) EXPECT_EQ(Ids(std::string(kHead) + one.spec), one.ids) << one.spec;
}

TEST(PolicyFile, WarningsOfExpressionsAreThereAndHinderNothing) {
  Diagnostics diagnostics("p.yaml");
  const auto policies =
      ReadPolicies(std::string(kHead) + "  checks:\n    - {id: c, expr: \"node.message == 'x'\"}\n", diagnostics);
  ASSERT_EQ(diagnostics.list().size(), 1U);
  EXPECT_EQ(diagnostics.list()[0].id, "W064");
  EXPECT_EQ(diagnostics.list()[0].severity, Severity::kWarning);
  EXPECT_TRUE(diagnostics.ToStatus().ok());
  EXPECT_EQ(policies.size(), 1U);
}

TEST(PolicyFile, HeadersAndSelectorsAreChecked) {
  EXPECT_EQ(Ids("apiVersion: v1\nkind: Policy\nmetadata: {name: x}\n"), "E007@1:13 E007@2:7 E008@1:1");
  EXPECT_EQ(Ids("apiVersion: mutation.policy/v1\nkind: MutationPolicy\nmetadata: {name: x}\nspec: {match: {}}\n"),
            "E040@4:15 E040@4:15 E040@4:15 E040@4:15");
  EXPECT_EQ(Ids(std::string(kHead).replace(std::string(kHead).find("template.execute"), 16, "template.exec")),
            "E009@5:35");
  EXPECT_EQ(Ids("\xFF"), "E005@0:0");
  EXPECT_EQ(Ids("a: [\n"), "E000@2:1");
}

TEST(PolicyFile, DocumentsOfOtherKindsAreForOtherReaders) {
  EXPECT_EQ(Ids("kind: HttpEgressPolicy\nspec: {whatever: 1}\n"), "");
  EXPECT_EQ(Ids("kind: MutationPolicyTest\ncases: []\n"), "");
  EXPECT_EQ(Ids("# nothing\n"), "@0:0");
}

TEST(PolicyDiagnostic, ShowsTheLineAndTheWord) {
  const std::string text = std::string(kHead) + "  allow:\n    - {id: a, path: node.phse}\n";
  Diagnostics diagnostics("p.yaml");
  ReadPolicies(text, diagnostics);
  EXPECT_EQ(Render(diagnostics, text),
            "p.yaml:7:21: error[E010]: path: a reply has no field \"phse\" in node (did you mean \"phase\"?)\n"
            "      - {id: a, path: node.phse}\n"
            "                      ^~~~~~~~~\n");
  EXPECT_EQ(diagnostics.ToStatus().error().message(),
            "p.yaml:7:21: path: a reply has no field \"phse\" in node (did you mean \"phase\"?)");
}

TEST(PolicyDiagnostic, IsFitForATerminal) {
  const std::string text = "kind: \"\x1b[2J\"\n";
  Diagnostics diagnostics("p.yaml");
  diagnostics.Add({1, 7}, "m");
  EXPECT_EQ(Render(diagnostics, "kind: \t\x1b[2J\n"), "p.yaml:1:7: error: m\n  kind:  \\x1b[2J\n        ^\n");
}

// --- the policies in force ------------------------------------------------------------------------

class HolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-holder-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void Write(const std::string& text) { std::ofstream(folder_ + "/p.yaml") << text; }

  std::string folder_;
};

TEST_F(HolderTest, ABrokenFileLeavesTheOldPoliciesInForce) {
  Write(kHead);
  auto loaded = Holder::Load({folder_});
  ASSERT_TRUE(loaded.ok());
  Holder& holder = **loaded;
  const auto before = holder.Get();
  EXPECT_EQ(holder.Refresh().kind, Reload::Kind::kUnchanged);
  EXPECT_EQ(holder.Get(), before);

  Write(std::string(kHead) + "  alow: []\n");
  const Reload broken = holder.Refresh();
  EXPECT_EQ(broken.kind, Reload::Kind::kKept);
  EXPECT_NE(broken.error.find("alow"), std::string::npos);
  EXPECT_EQ(broken.digest, before->Digest());
  EXPECT_EQ(holder.Get(), before);
  EXPECT_EQ(holder.Broken(), broken.error);

  Write(std::string(kHead) + "  allow:\n    - {id: a, path: node.phase}\n");
  const Reload replaced = holder.Refresh();
  EXPECT_EQ(replaced.kind, Reload::Kind::kReplaced);
  EXPECT_NE(holder.Get(), before);
  EXPECT_EQ(holder.Get()->policies()[0].allow.size(), 1U);
  EXPECT_FALSE(holder.Broken().has_value());
  EXPECT_TRUE(before->policies()[0].allow.empty()) << "who holds the old set keeps it";
}

// A kind of its own: the documents that say `kind: Other`, all in force or none.
class OtherKind : public Companion {
 public:
  Result<std::function<void()>> Read(const std::vector<PolicyText>& texts) override {
    size_t found = 0;
    for (const PolicyText& text : texts) {
      if (text.text.find("wrong") != std::string::npos) return Error(Code::kInvalidInput, text.file + ": is wrong");
      found += text.text.find("kind: HttpEgressPolicy") != std::string::npos ? 1U : 0U;
    }
    return std::function<void()>([this, found] { in_force = found; });
  }
  size_t in_force = 0;
};

TEST_F(HolderTest, KindsOfOneFileComeIntoForceTogetherOrNotAtAll) {
  const std::string other = "---\nkind: HttpEgressPolicy\n";
  Write(kHead);
  OtherKind companion;
  auto loaded = Holder::Load({folder_}, &companion);
  ASSERT_TRUE(loaded.ok());
  Holder& holder = **loaded;
  EXPECT_EQ(companion.in_force, 0U);

  // Of the other kind only: it is a change, too.
  Write(kHead + other);
  EXPECT_EQ(holder.Refresh().kind, Reload::Kind::kReplaced);
  EXPECT_EQ(companion.in_force, 1U);
  const auto before = holder.Get();

  const std::string rule = "  allow:\n    - {id: a, path: node.phase}\n";
  struct Case {
    const char* what;
    std::string text;
    std::vector<std::string> told;
  };
  const std::vector<Case> cases = {
      {"the other kind is wrong", kHead + rule + "---\nkind: HttpEgressPolicy\nwrong: 1\n", {"is wrong"}},
      {"this kind is wrong", std::string(kHead) + "  alow: []\n", {"alow"}},
      {"both are", std::string(kHead) + "  alow: []\n---\nkind: HttpEgressPolicy\nwrong: 1\n", {"alow", "is wrong"}},
  };
  for (const Case& c : cases) {
    Write(c.text);
    const Reload kept = holder.Refresh();
    EXPECT_EQ(kept.kind, Reload::Kind::kKept) << c.what;
    for (const std::string& told : c.told) EXPECT_NE(kept.error.find(told), std::string::npos) << c.what;
    EXPECT_EQ(holder.Get(), before) << c.what;
    EXPECT_EQ(companion.in_force, 1U) << c.what;
    EXPECT_EQ(holder.Broken(), kept.error) << c.what;
    EXPECT_FALSE(Holder::Load({folder_}, &companion).ok()) << c.what;
    EXPECT_EQ(companion.in_force, 1U) << c.what;
  }
  Write(kHead);
  EXPECT_EQ(holder.Refresh().kind, Reload::Kind::kReplaced);
  EXPECT_EQ(companion.in_force, 0U);
}

TEST_F(HolderTest, WithoutFilesThereIsNothingToReload) {
  auto loaded = Holder::Load({});
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE((*loaded)->Get()->empty());
  EXPECT_EQ((*loaded)->Refresh().kind, Reload::Kind::kUnchanged);
}

TEST(PlaintextLoopback, NeedsEveryPolicyOfThePluginToSaySo) {
  const auto document = [](const std::string& name, const std::string& plugin, const std::string& rest) {
    return "---\napiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicy\nmetadata: {name: " + name +
           "}\nspec:\n  match: {plugin: {name: " + plugin +
           "}, rpc: [template.execute], namespaces: [ns], templates: [\"*\"]}\n" + rest;
  };
  const std::string plain = "  transport: plaintext-loopback\n";
  PolicySet set;
  ASSERT_TRUE(set.Load(document("a", "p", plain) + document("b", "q", "") + document("c", "r*", plain), "a.yaml").ok());
  EXPECT_TRUE(set.AllowsPlaintextLoopback("p", "ns"));
  EXPECT_TRUE(set.AllowsPlaintextLoopback("rx", "ns"));
  EXPECT_FALSE(set.AllowsPlaintextLoopback("p", "other"));
  EXPECT_FALSE(set.AllowsPlaintextLoopback("q", "ns"));
  EXPECT_FALSE(set.AllowsPlaintextLoopback("unknown", "ns"));
  ASSERT_TRUE(set.Load(document("d", "\"*\"", ""), "d.yaml").ok());
  EXPECT_FALSE(set.AllowsPlaintextLoopback("p", "ns"));
}

}  // namespace
}  // namespace bulkhead::policy

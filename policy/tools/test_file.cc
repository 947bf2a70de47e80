#include "policy/tools/test_file.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "runner/base/text.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy::tools {

namespace {

constexpr std::array<std::string_view, 4> kVerdicts = {"allow", "deny", "error", "not-mine"};
constexpr std::string_view kTestKind = "MutationPolicyTest";

class TestReader {
 public:
  TestReader(const std::string& file, Diagnostics& diagnostics) : diagnostics_(diagnostics) { result_.file = file; }

  TestFile Read(const Value& document) {
    Fields fields(document, "the test file", diagnostics_);
    const std::string version = fields.RequiredString("apiVersion");
    if (!version.empty() && version != kApiVersion && version != kOldApiVersion)
      diagnostics_.Add(fields.Any("apiVersion")->at, "apiVersion must be " + std::string(kApiVersion));
    fields.RequiredString("kind");
    ReadPolicies(fields);
    if (const Value* contexts = fields.OfKind("context", Value::Kind::kObject)) ReadContexts(*contexts);
    if (const Value* bars = fields.OfKind("require", Value::Kind::kObject)) ReadBars(*bars);
    const Value* const cases = fields.OfKind("cases", Value::Kind::kArray);
    if (cases == nullptr || cases->items.empty()) {
      diagnostics_.Add(cases == nullptr ? document.at : cases->at,
                       "a test file without cases tests nothing: write at least one under \"cases\"");
    } else {
      for (const Value& item : cases->items) ReadCase(item);
    }
    fields.Done();
    if (static_cast<int>(result_.cases.size()) < result_.bars.least_cases && cases != nullptr) {
      diagnostics_.Add(cases->at, "there are " + std::to_string(result_.cases.size()) +
                                      " cases; require.minCases asks for " + std::to_string(result_.bars.least_cases));
    }
    return std::move(result_);
  }

 private:
  void ReadPolicies(Fields& fields) {
    for (const std::string& path : fields.Strings("policies")) {
      const std::filesystem::path joined = std::filesystem::path(result_.file).parent_path() / path;
      result_.policies.push_back(joined.lexically_normal().string());
    }
    if (result_.policies.empty())
      diagnostics_.Add(fields.at(), "name the policy files under \"policies\", relative to this file");
  }

  void ReadContexts(const Value& contexts) {
    for (const Member& member : contexts.members) {
      CallContext context;
      ReadCallContext(member.value, context, diagnostics_);
      contexts_.emplace(member.key, std::move(context));
    }
  }

  void ReadBars(const Value& value) {
    Fields fields(value, "require", diagnostics_);
    if (const auto bar = fields.Int("ruleCoverage", 0, 100)) result_.bars.rule_coverage = static_cast<int>(*bar);
    if (const auto bar = fields.Int("ruleKill", 0, 100)) result_.bars.rule_kill = static_cast<int>(*bar);
    if (const auto bar = fields.Int("minCases", 1, 100'000)) result_.bars.least_cases = static_cast<int>(*bar);
    if (const auto corpus = fields.String("hostileCorpus"); corpus.has_value() && *corpus != "all-denied")
      diagnostics_.Add(fields.Any("hostileCorpus")->at, "hostileCorpus can only be all-denied");
    fields.Done();
  }

  void ReadCase(const Value& value) {
    TestCase test;
    test.at = value.at;
    Fields fields(value, "a case", diagnostics_);
    test.name = fields.RequiredString("name");
    if (!test.name.empty() && !names_.insert(test.name).second)
      diagnostics_.Add(value.at, "another case is named \"" + EscapeForTerminal(test.name) + "\" too");
    ReadContext(fields, test);
    ReadReplies(fields, test);
    if (const Value* expect = fields.OfKind("expect", Value::Kind::kObject)) {
      ReadExpectation(*expect, test.expect);
    } else if (fields.Any("expect") == nullptr) {
      diagnostics_.Add(value.at, "a case needs \"expect\": {verdict: allow|deny|error, ...}");
    }
    fields.Done();
    result_.cases.push_back(std::move(test));
  }

  // A name, or changes to the context "default"; `use` names another one to change.
  void ReadContext(Fields& fields, TestCase& test) {
    std::string name = "default";
    const Value* const context = fields.Any("context");
    if (const auto use = fields.String("use")) name = *use;
    if (context != nullptr && context->is_string()) name = context->text;
    const auto found = contexts_.find(name);
    if (found != contexts_.end()) {
      test.context = found->second;
    } else if (name != "default" || context == nullptr) {
      std::vector<std::string_view> names;
      for (const auto& [known, unused] : contexts_) names.push_back(known);
      diagnostics_.Add(
          context == nullptr ? fields.at() : context->at,
          "there is no context \"" + EscapeForTerminal(name) + "\" in this file" + DidYouMean(name, names));
    }
    if (context != nullptr && context->is_object()) {
      ReadCallContext(*context, test.context, diagnostics_);
    } else if (context != nullptr && !context->is_string()) {
      diagnostics_.Add(context->at, "context is the name of one, or a mapping of what differs from \"default\"");
    }
  }

  void ReadReplies(Fields& fields, TestCase& test) {
    const Value* const reply = fields.Any("reply");
    const Value* const raw = fields.OfKind("rawReply", Value::Kind::kString);
    const Value* const base64 = fields.OfKind("rawReplyBase64", Value::Kind::kString);
    const Value* const replies = fields.OfKind("replies", Value::Kind::kArray);
    if ((reply != nullptr) + (raw != nullptr) + (base64 != nullptr) + (replies != nullptr) != 1) {
      diagnostics_.Add(fields.at(), "a case has one of reply, rawReply, rawReplyBase64 and replies");
      return;
    }
    if (reply != nullptr) test.replies.push_back({ToJson(*reply), reply->at});
    if (raw != nullptr) test.replies.push_back({raw->text, raw->at});
    if (base64 != nullptr) {
      const auto bytes = Base64Decode(base64->text);
      if (!bytes.has_value()) diagnostics_.Add(base64->at, "rawReplyBase64 is not base64 (with padding)");
      test.replies.push_back({bytes.value_or(""), base64->at});
    }
    if (replies == nullptr) return;
    if (replies->items.empty()) diagnostics_.Add(replies->at, "replies is empty");
    for (const Value& item : replies->items) test.replies.push_back({ToJson(item), item.at});
  }

  void ReadExpectation(const Value& value, Expectation& expect) {
    expect.at = value.at;
    Fields fields(value, "expect", diagnostics_);
    expect.verdict = fields.RequiredString("verdict");
    if (!expect.verdict.empty() && std::find(kVerdicts.begin(), kVerdicts.end(), expect.verdict) == kVerdicts.end()) {
      diagnostics_.Add(
          fields.Any("verdict")->at,
          "expect.verdict must be allow (applied), deny (refused by policy), error (refused by decoding) or "
          "not-mine (nothing was answered)" +
              DidYouMean(expect.verdict, kVerdicts));
    }
    if (const Value* list = fields.OfKind("violations", Value::Kind::kArray)) {
      expect.violations.emplace();
      for (const Value& item : list->items) {
        Fields inner(item, "a violation", diagnostics_);
        ExpectedViolation violation;
        violation.path = inner.String("path").value_or("");
        violation.by = inner.RequiredString("by");
        inner.Done();
        expect.violations->push_back(std::move(violation));
      }
      if (expect.verdict == "allow" && !list->items.empty())
        diagnostics_.Add(list->at, "what is allowed has no violations: the verdict is deny or error");
    }
    if (fields.Any("rules") != nullptr) expect.rules = fields.Strings("rules");
    if (const Value* effective = fields.OfKind("effective", Value::Kind::kObject)) expect.effective = *effective;
    fields.Done();
  }

  TestFile result_;
  Diagnostics& diagnostics_;
  std::map<std::string, CallContext, std::less<>> contexts_;
  std::set<std::string, std::less<>> names_;
};

}  // namespace

bool IsTestDocument(const Value& document) {
  const Value* const kind = document.Find("kind");
  return kind != nullptr && kind->is_string() && kind->text == kTestKind;
}

std::optional<TestFile> ReadTestFile(std::string_view text, const std::string& file, Diagnostics& diagnostics) {
  const auto documents = ParseYaml(text, file);
  if (!documents.ok()) {
    diagnostics.Add(Position{}, documents.error().message());
    return std::nullopt;
  }
  const Value* found = nullptr;
  for (const Value& document : *documents) {
    if (!IsTestDocument(document)) continue;
    if (found != nullptr) diagnostics.Add(document.at, "one test file holds one document of kind MutationPolicyTest");
    found = &document;
  }
  if (found == nullptr) {
    diagnostics.Add(Position{}, "holds no document of kind MutationPolicyTest");
    return std::nullopt;
  }
  TestFile result = TestReader(file, diagnostics).Read(*found);
  if (!diagnostics.empty()) return std::nullopt;
  return result;
}

}  // namespace bulkhead::policy::tools

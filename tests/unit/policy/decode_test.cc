#include "policy/decode.h"

#include <gtest/gtest.h>

namespace bulkhead::policy {
namespace {

TEST(Reply, EveryByteIsAccountedFor) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"([])", "decode.wrong-type"},
      {R"("x")", "decode.wrong-type"},
      {R"({"nod":{}})", "decode.unknown-field"},
      {R"({"Node":{}})", "decode.wrong-case"},
      {R"({"node":{"phase":"Succeeded"},"extra":1})", "decode.unknown-field"},
      {R"({"node":{"phase":1}})", "decode.wrong-type"},
      {R"({"node":{"PHASE":"Succeeded"}})", "decode.wrong-case"},
      {R"({"node":{"outputs":[]}})", "decode.wrong-type"},
      {R"({"node":{"outputs":{"parameters":{}}}})", "decode.wrong-type"},
      {R"({"node":{"outputs":{"parameters":["x"]}}})", "decode.wrong-type"},
      {R"({"node":{"phase":"Succeeded"},"requeue":5})", "decode.wrong-type"},
      {R"({"node":{"phase":"x","phase":"y"}})", "decode.duplicate-key"},
      {"{", "decode.syntax"},
      {"\"\xFF\"", "decode.invalid-utf8"},
  };
  for (const auto& [bytes, id] : cases) {
    const Decoded decoded = DecodeReply(Rpc::kTemplateExecute, bytes);
    EXPECT_FALSE(decoded.ok) << bytes;
    ASSERT_FALSE(decoded.faults.empty()) << bytes;
    EXPECT_EQ(decoded.faults[0].id, id) << bytes << ": " << decoded.faults[0].message;
  }
}

TEST(Reply, KeysOfMappingsAreNoFieldsAndMayDifferByCase) {
  const Decoded labels =
      DecodeReply(Rpc::kWorkflowPreOperate, R"({"workflow":{"metadata":{"labels":{"App":"1","app":"2"}}}})");
  EXPECT_TRUE(labels.ok);
  EXPECT_FALSE(
      DecodeReply(Rpc::kWorkflowPreOperate, R"({"workflow":{"metadata":{"labels":{"app":"1","app":"2"}}}})").ok);
}

TEST(Reply, IntegersAreOnesThatArgoCanHold) {
  const auto mode = [](const std::string& number) {
    return DecodeReply(Rpc::kTemplateExecute,
                       R"({"node":{"outputs":{"artifacts":[{"name":"a","mode":)" + number + "}]}}}")
        .ok;
  };
  EXPECT_TRUE(mode("420"));
  EXPECT_TRUE(mode("2147483647"));
  for (const char* const number : {"2147483648", "-2147483649", "1.0", "1e2", "-0", "\"1\""})
    EXPECT_FALSE(mode(number)) << number;
}

TEST(Reply, EachLeafHasItsType) {
  const auto artifact = [](const std::string& rest) {
    const Decoded decoded =
        DecodeReply(Rpc::kTemplateExecute, R"({"node":{"outputs":{"artifacts":[{"name":"a",)" + rest + "}]}}}");
    return decoded.ok ? "ok" : decoded.faults[0].id;
  };
  EXPECT_EQ(artifact(R"("deleted":true)"), "ok");
  EXPECT_EQ(artifact(R"("git":{"fetch":["a"]})"), "ok");
  for (const char* const wrong :
       {R"("deleted":"true")", R"("deleted":1)", R"("deleted":{})", R"("git":{"fetch":"a"})", R"("git":{"fetch":[1]})",
        R"("git":{"fetch":["a",null]})", R"("git":{"fetch":{}})", R"("git":[])", R"("s3":"x")"})
    EXPECT_EQ(artifact(wrong), "decode.wrong-type") << wrong;
}

TEST(Reply, ATypoIsAnsweredWithTheNearestField) {
  const Decoded decoded = DecodeReply(Rpc::kTemplateExecute, R"({"node":{"mesage":"x"}})");
  ASSERT_EQ(decoded.faults.size(), 1U);
  EXPECT_NE(decoded.faults[0].message.find("did you mean \"message\""), std::string::npos) << decoded.faults[0].message;
}

TEST(Reply, EmptyAndNullAreNotMine) {
  for (const char* const bytes : {"{}", "null", " {} ", R"({"node":null})"}) {
    const Decoded decoded = DecodeReply(Rpc::kTemplateExecute, bytes);
    ASSERT_TRUE(decoded.ok) << bytes;
    EXPECT_FALSE(decoded.says_something) << bytes;
  }
}

TEST(Reply, AnyStringBecomesText) {
  const Decoded decoded =
      DecodeReply(Rpc::kTemplateExecute,
                  R"({"node":{"outputs":{"parameters":[{"name":"a","value":5},{"name":"b","value":true}]}}})");
  ASSERT_TRUE(decoded.ok);
  EXPECT_NE(decoded.document.find(R"("value":"5")"), std::string::npos) << decoded.document;
  EXPECT_NE(decoded.document.find(R"("value":"true")"), std::string::npos);
}

TEST(Reply, RequeueIsAGoDuration) {
  const Decoded good = DecodeReply(Rpc::kTemplateExecute, R"({"node":{"phase":"Running"},"requeue":"2m"})");
  ASSERT_TRUE(good.ok);
  for (const char* const bad : {"soon", "2", "-1s", "1e9h"}) {
    const Decoded decoded =
        DecodeReply(Rpc::kTemplateExecute, R"({"node":{"phase":"Running"},"requeue":")" + std::string(bad) + "\"}");
    EXPECT_FALSE(decoded.ok) << bad;
  }
}

}  // namespace
}  // namespace bulkhead::policy

#include "runner/redact/redactor.h"

#include <gtest/gtest.h>

#include <random>

#include "runner/base/text.h"

namespace bulkhead::redact {
namespace {

constexpr std::string_view kSecret = "p4ss/w\"rd+<&>'\\key\n~";

std::shared_ptr<const Redactor> Make(std::vector<std::pair<std::string, std::string>> named) {
  std::vector<NamedSecret> secrets;
  for (auto& [name, bytes] : named) secrets.push_back({name, Secret(bytes)});
  auto redactor = Redactor::Create(std::move(secrets));
  EXPECT_TRUE(redactor.ok()) << redactor.error().message();
  return *redactor;
}

std::string Hex(std::string_view text, bool upper) {
  std::string out = HexEncode(text);
  if (upper) {
    for (char& c : out) c = static_cast<char>(std::toupper(c));
  }
  return out;
}

std::string Percent(std::string_view text, bool upper) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += "%" + Hex({&c, 1}, upper);
    }
  }
  return out;
}

std::string UrlSafe(std::string text) {
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

TEST(Redactor, FindsEveryCommonEncoding) {
  const auto redactor = Make({{"api", std::string(kSecret)}});
  std::string json;
  AppendJsonString(kSecret, json);
  std::vector<std::string> forms = {std::string(kSecret),   Hex(kSecret, false),     Hex(kSecret, true),
                                    Percent(kSecret, true), Percent(kSecret, false), json.substr(1, json.size() - 2)};
  for (const std::string_view before : {"", "a", "ab"}) {
    // The secret at each of base64's three alignments, with other bytes around it.
    const std::string encoded = Base64Encode(std::string(before) + std::string(kSecret) + "xyz");
    forms.push_back(encoded);
    forms.push_back(UrlSafe(encoded));
  }
  for (const std::string& form : forms) {
    size_t masked = 0;
    const std::string out = redactor->Redact("<<" + form + ">>", &masked);
    EXPECT_EQ(masked, 1U) << form << " -> " << out;
    EXPECT_NE(out.find("[REDACTED:api]"), std::string::npos) << form;
    EXPECT_TRUE(out.starts_with("<<") && out.ends_with(">>")) << out;
  }
}

TEST(Redactor, LeavesOtherTextAlone) {
  const auto redactor = Make({{"a", "hunter2hunter2"}});
  for (const std::string& text : std::vector<std::string>{"", "hunter2hunter", "nothing here", "HUNTER2HUNTER2",
                                                          std::string("\0\xFF binary", 9)}) {
    size_t masked = 0;
    EXPECT_EQ(redactor->Redact(text, &masked), text);
    EXPECT_EQ(masked, 0U);
    EXPECT_FALSE(redactor->Contains(text));
  }
}

TEST(Redactor, OverlappingSecretsLeaveNothing) {
  const auto redactor = Make({{"long", "abcdefghijkl"}, {"inner", "defghi"}, {"tail", "ijklmnop"}});
  for (const std::string text : {"abcdefghijkl", "abcdefghijklmnop", "xxdefghixx", "abcdefghijklabcdefghijkl"}) {
    const std::string out = redactor->Redact(text);
    for (const char* const part : {"defghi", "ijklmnop", "abcdefghijkl"})
      EXPECT_EQ(out.find(part), std::string::npos) << out;
    EXPECT_NE(out.find("[REDACTED:"), std::string::npos);
  }
}

TEST(Redactor, MasksKeysAndValuesOfATree) {
  const auto redactor = Make({{"a", "hunter2hunter2"}});
  Value tree = Value::Object();
  tree.Set("hunter2hunter2", Value::String("x"));
  Value list = Value::Array();
  list.items.push_back(Value::String("is hunter2hunter2"));
  tree.Set("list", std::move(list));
  EXPECT_EQ(redactor->RedactTree(tree), 2U);
  EXPECT_EQ(ToJson(tree).find("hunter2"), std::string::npos);
}

TEST(Redactor, ShortSecretsAreRefusedByName) {
  std::vector<NamedSecret> secrets;
  secrets.push_back({"pin", Secret("12345")});
  const auto redactor = Redactor::Create(std::move(secrets));
  ASSERT_FALSE(redactor.ok());
  EXPECT_NE(redactor.error().message().find("pin"), std::string::npos);
  EXPECT_EQ(redactor.error().message().find("12345"), std::string::npos);
}

TEST(StreamRedactor, OutputIsTheSameHoweverTheInputIsCut) {
  const auto redactor = Make({{"a", "hunter2hunter2"}, {"b", std::string(kSecret)}});
  const std::string text = "start hunter2hunter2 hunter2hunterhunter2hunter2 " +
                           Base64Encode("x" + std::string(kSecret)) + " " + std::string(kSecret) + "hunter2hunte";
  const std::string whole = redactor->Redact(text);
  ASSERT_EQ(whole.find("hunter2hunter2"), std::string::npos);
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    StreamRedactor stream(redactor);
    std::string out;
    const size_t most = round < 50 ? 1 : 1 + static_cast<size_t>(round) % 40;
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::min<size_t>(1 + random() % most, text.size() - at);
      stream.Write(text.substr(at, size), out);
      at += size;
      // What is out must never be the start of a secret that is still to come.
      ASSERT_EQ(whole.compare(0, out.size(), out), 0) << "round " << round;
    }
    stream.Finish(out);
    ASSERT_EQ(out, whole) << "round " << round;
  }
}

TEST(StreamRedactor, HoldsBackNoMoreThanItMust) {
  const auto redactor = Make({{"a", "hunter2hunter2"}});
  StreamRedactor stream(redactor);
  std::string out;
  stream.Write("a line of text that is no secret at all\n", out);
  EXPECT_EQ(out, "a line of text that is no secret at all\n");
}

}  // namespace
}  // namespace bulkhead::redact

// The decoder beside Go's encoding/json, which reads what is admitted.
//
//   policy_differential admitted SEED COUNT   lines for tests/policy/go: random replies that the decoder admits
//   policy_differential sample SEED COUNT     lines of one word: random replies, admitted or not
//   policy_differential recorded FILE         compares with what Go saw when FILE was recorded
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "policy/decode.h"
#include "runner/base/json.h"
#include "runner/base/text.h"

using namespace bulkhead;

namespace {

class Replies {
 public:
  explicit Replies(uint64_t seed) : engine_(seed) {}

  std::string Next() {
    std::string reply = "{" + Space() + Member("node", Node()) + (OneIn(3) ? "," + Member("requeue", Requeue()) : "") +
                        (OneIn(40) ? "," + Member("node", Node()) : "") + "}" + Space();
    if (OneIn(30)) reply += OneIn(2) ? "{}" : "x";
    // Some damage, seldom: most of it is refused and shows nothing.
    if (OneIn(12)) reply[Below(reply.size())] = static_cast<char>(Below(256));
    if (OneIn(25)) reply.erase(Below(reply.size()), 1 + Below(3));
    return reply;
  }

 private:
  size_t Below(size_t bound) { return static_cast<size_t>(engine_() % bound); }
  bool OneIn(size_t n) { return Below(n) == 0; }
  std::string Of(const std::vector<std::string>& list) { return list[Below(list.size())]; }
  std::string Space() { return OneIn(6) ? Of({" ", "\n", "\t ", "\r\n"}) : ""; }

  // A letter as an escape, in another case or as one that Go folds to it, now and then.
  std::string Key(std::string key) {
    if (OneIn(8)) {
      const size_t at = Below(key.size());
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(key[at])));
      key.replace(at, 1, escape);
    } else if (OneIn(60)) {
      key[0] = static_cast<char>(key[0] ^ 0x20);
    } else if (const size_t s = key.find('s'); s != std::string::npos && OneIn(60)) {
      key.replace(s, 1, OneIn(2) ? "\xC5\xBF" : "\\u017f");
    }
    return "\"" + key + "\"";
  }
  std::string Member(const std::string& key, const std::string& value) {
    return Key(key) + Space() + ":" + Space() + (OneIn(20) ? "null" : value);
  }
  std::string Text() {
    return "\"" +
           Of({"", "a", "Succeeded", "\\u0041\\n", "\\ud83d\\ude00", "\xC3\xA9", "\\/", "1", "\xF0\x9F\x98\x80", "\\\"",
               "<b>&", "\\u2028", "\\ud800", "\xFF", "0", "x\\u0000y", "\xE2\x80\xA8", "\\u00e9"}) +
           "\"";
  }
  std::string AnyText() {
    return OneIn(3) ? Of({"1", "0", "-5", "-0", "1.5", "1e3", "true", "false", "999999999999999", "9007199254740993",
                          "1000000000000000000000", "[1]", "{}", "0.1", "123456789012345"})
                    : Text();
  }
  std::string Requeue() {
    return OneIn(3) ? Of({"5", "\"x\"", "\"\"", "\"-1s\"", "\"1e9h\""})
                    : Of({"\"5s\"", "\"1h30m\"", "\"0\"", "\"1.5s\"", "\"100ms\"", "\"1us\""});
  }
  std::string Object(const std::vector<std::pair<std::string, std::string>>& members) {
    std::string object = "{";
    for (const auto& [key, value] : members) {
      if (OneIn(3)) continue;
      if (object.size() > 1) object += "," + Space();
      object += Member(key, value);
      if (OneIn(60)) object += "," + Member(key, value);
    }
    return object + Space() + "}";
  }
  std::string List(const std::vector<std::string>& items) {
    std::string list = "[";
    for (const std::string& item : items) {
      if (OneIn(3)) continue;
      list += (list.size() > 1 ? "," : "") + item + Space();
    }
    return list + "]";
  }
  std::string Parameter() {
    return Object({{"name", Text()},
                   {"value", AnyText()},
                   {"default", AnyText()},
                   {"globalName", Text()},
                   {"enum", List({Text(), Text()})},
                   {"valueFrom", Object({{"path", Text()}, {"default", AnyText()}})}});
  }
  std::string Artifact() {
    return Object(
        {{"name", Text()},
         {"path", Text()},
         {"mode", Of({"420", "1.0", "-1", "99999999999", "\"1\""})},
         {"optional", Of({"true", "false", "1"})},
         {"s3", Object({{"key", Text()}, {"insecure", "true"}, {"accessKeySecret", Object({{"name", Text()}})}})}});
  }
  std::string Node() {
    return Object({{"phase", Text()},
                   {"message", Text()},
                   {"progress", Text()},
                   {"outputs", Object({{"result", Text()},
                                       {"exitCode", OneIn(9) ? "0" : Text()},
                                       {"parameters", List({Parameter(), Parameter(), Parameter()})},
                                       {"artifacts", List({Artifact(), Artifact()})}})}});
  }

  std::mt19937_64 engine_;
};

int PrintAdmitted(uint64_t seed, int count) {
  Replies replies(seed);
  int admitted = 0;
  for (int i = 0; i < count; ++i) {
    const std::string reply = replies.Next();
    const policy::Decoded decoded = policy::DecodeReply(policy::Rpc::kTemplateExecute, reply);
    if (!decoded.ok) continue;
    ++admitted;
    std::cout << Base64Encode(reply) << " " << Base64Encode(decoded.document) << "\n";
  }
  // The random replies are of use only if a good part is admitted.
  return admitted > count / 20 ? 0 : 1;
}

int PrintSample(uint64_t seed, int count) {
  Replies replies(seed);
  for (int i = 0; i < count; ++i) std::cout << Base64Encode(replies.Next()) << "\n";
  return 0;
}

// The leaves that say something: Go leaves out empty texts, false and null.
void Flatten(const Value& value, const std::string& path, std::map<std::string, std::string>& leaves) {
  for (const Member& member : value.members) Flatten(member.value, path + "/" + member.key, leaves);
  for (size_t i = 0; i < value.items.size(); ++i) Flatten(value.items[i], path + "/" + std::to_string(i), leaves);
  const std::string text = value.is_array() || value.is_object() ? "" : ToJson(value);
  if (!text.empty() && text != "\"\"" && text != "false" && text != "null") leaves[path] = text;
}

std::map<std::string, std::string> LeavesOf(const std::string& json) {
  std::map<std::string, std::string> leaves;
  Flatten(ParseJson(json).value, "", leaves);
  // Go writes a duration in its own units: only its presence is compared.
  if (leaves.contains("/requeue")) leaves["/requeue"] = "some";
  return leaves;
}

int CompareRecorded(const char* path) {
  std::ifstream file(path);
  int lines = 0;
  int admitted = 0;
  int different = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    const JsonParse record = ParseJson(line);
    const Value* const word = record.value.Find("reply");
    const Value* const seen = record.value.Find("go");
    const auto reply = word == nullptr ? std::nullopt : Base64Decode(word->text);
    if (!reply.has_value() || seen == nullptr) {
      std::fprintf(stderr, "%s: line %d is no record\n", path, lines + 1);
      return 2;
    }
    const policy::Decoded decoded = policy::DecodeReply(policy::Rpc::kTemplateExecute, *reply);
    if (!decoded.ok) continue;
    ++admitted;
    if (!seen->text.starts_with("error: ") && LeavesOf(decoded.document) == LeavesOf(seen->text)) continue;
    ++different;
    std::printf("reply %s\n  decoded %s\n  Go saw  %s\n", EscapeForTerminal(*reply).c_str(), decoded.document.c_str(),
                seen->text.c_str());
  }
  std::printf("%d recorded replies, %d admitted, %d of which Go saw otherwise\n", lines, admitted, different);
  return different == 0 && admitted > lines / 20 && lines >= 500 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "recorded" && argc == 3) return CompareRecorded(argv[2]);
  if ((mode == "admitted" || mode == "sample") && argc == 4) {
    const uint64_t seed = std::strtoull(argv[2], nullptr, 10);
    const int count = std::atoi(argv[3]);
    return mode == "admitted" ? PrintAdmitted(seed, count) : PrintSample(seed, count);
  }
  std::fprintf(stderr, "usage: policy_differential admitted|sample SEED COUNT, or recorded FILE\n");
  return 2;
}

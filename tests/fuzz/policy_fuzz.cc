#include "fuzz.h"
#include "policy/policy.h"

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  policy::PolicySet set;
  const Status loaded = set.Load(fuzz::Text(data, size), "f.yaml");
  if (!loaded.ok()) {
    fuzz::Require(set.empty(), "nothing of a wrong file is loaded");
    fuzz::Require(loaded.error().message().starts_with("f.yaml"), "an error begins with its place");
  }
  Value before = Value::Object();
  Value after = Value::Object();
  Value node = Value::Object();
  node.Set("phase", Value::String("Succeeded"));
  node.Set("message", Value::String("{{x}}"));
  after.Set("node", std::move(node));
  const auto mutations = policy::Diff(before, after);
  fuzz::Require(mutations.ok(), "a plain reply has a difference");
  const auto decision =
      set.Decide({"p", "template.execute", "ns", "wf", "t"}, *mutations, policy::MeasureReply(after, 10, after));
  fuzz::Require(!decision.allowed, "no policy allows a template in a value");
  return 0;
}

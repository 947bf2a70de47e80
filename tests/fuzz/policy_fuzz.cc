// Policy files: whatever is loaded, the built-in guards hold.
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
  policy::Evaluator evaluator;
  policy::Call call;
  call.subject = {"p", "template.execute", "ns", "wf", "t"};
  for (const std::string_view reply :
       {R"({"node":{"phase":"Succeeded","message":"{{x}}"}})", R"({"node":{"phase":"Nonsense"}})",
        R"({"node":{"outputs":{"parameters":[{"name":"a"},{"name":"a"}]}}})", R"({"node":{"Phase":"Succeeded"}})"}) {
    const policy::Decision& decision = evaluator.Decide(set, call, reply);
    fuzz::Require(decision.kind == policy::Decision::Kind::kRefused, "no policy allows what the guards refuse");
  }
  return 0;
}

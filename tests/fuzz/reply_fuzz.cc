// The whole way of plugin bytes: decode, diff, policy, redaction.
#include "fuzz.h"
#include "runner/agent/judge.h"
#include "runner/base/json.h"
#include "runner/base/text.h"

using namespace bulkhead;

namespace {

constexpr std::string_view kPolicy = R"(apiVersion: mutation.policy/v1
kind: MutationPolicy
metadata: {name: fuzz, owner: fuzz@example.com, reviewBy: "2099-01-01"}
spec:
  mode: enforce
  match: {plugin: {name: p}, rpc: [template.execute], namespaces: ["*"], templates: ["*"]}
  allow:
    - {id: phase, path: node.phase}
    - {id: message, path: node.message}
    - {id: names, path: "node.outputs.parameters[*].name"}
    - {id: values, path: "node.outputs.parameters[*].value"}
    - {id: requeue, path: requeue, value: {duration: {min: 1s, max: 1h}}}
)";

struct Fixture {
  policy::PolicySet policies;
  std::shared_ptr<const redact::Redactor> redactor;
};

const Fixture& Setup() {
  static const Fixture* const fixture = [] {
    auto* const made = new Fixture;
    fuzz::Require(made->policies.Load(kPolicy, "f.yaml").ok(), "the policy of this target loads");
    std::vector<redact::NamedSecret> secrets;
    secrets.push_back({"s", Secret("hunter2hunter2")});
    made->redactor = *redact::Redactor::Create(std::move(secrets));
    return made;
  }();
  return *fixture;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Fixture& fixture = Setup();
  policy::Call call;
  call.subject = {"p", "template.execute", "ns", "wf", "t"};
  const agent::Judgement judgement = agent::Judge(fuzz::Text(data, size), call, fixture.policies, *fixture.redactor);
  fuzz::Require(judgement.message.find("hunter2hunter2") == std::string::npos, "no secret leaves in a reason");
  if (judgement.kind != agent::Judgement::Kind::kApplied) {
    fuzz::Require(judgement.effective.members.empty(), "a refused reply changes nothing");
    return 0;
  }
  const std::string applied = ToJson(judgement.effective);
  fuzz::Require(applied.find("hunter2hunter2") == std::string::npos, "no secret leaves in a result");
  fuzz::Require(applied.find("{{") == std::string::npos, "no template leaves in a result");
  for (const Member& member : judgement.effective.members) {
    fuzz::Require(member.key == "phase" || member.key == "message" || member.key == "outputs",
                  "only what the policy names is applied");
  }
  fuzz::Require(judgement.refused == 0, "an applied reply has nothing refused");
  return 0;
}

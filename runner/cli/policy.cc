// bulkhead policy ...: the commands of policy authors. Each has a file or shares one with its nearest kin.
#include "runner/cli/command.h"
#include "runner/cli/policy_command.h"

namespace bulkhead::cli {

void AddPolicy(const Verb& app, Action& action) {
  const Verb policy = app.AddVerb("policy", "Write, test and question mutation policies");
  policy.NeedsVerb();
  policy.Footer(
      "A policy from nothing, in order:\n"
      "  bulkhead policy learn audit.jsonl              a first draft from what a plugin did, in mode audit\n"
      "  bulkhead policy check POLICY.yaml              what is wrong with it, and what is unwise\n"
      "  bulkhead policy test POLICY_test.yaml          does it refuse what it must, and does any test notice\n"
      "  bulkhead policy explain reply.json -p POLICY.yaml    why is this reply refused\n"
      "  bulkhead policy why-not PATH VALUE -p POLICY.yaml    what would have to be written\n"
      "  bulkhead policy diff OLD.yaml NEW.yaml         what a change lets in\n"
      "  bulkhead policy replay audit.jsonl -p NEW.yaml what it would have done to past calls\n\n"
      "Exit codes: 0 good; 1 a test failed, or a reply would be denied; 2 usage; 3 a policy does not compile;\n"
      "4 coverage or rule-kill below the bar. The language: policy/README.md.");
  AddPolicyCheck(policy, action);
  AddPolicyFmt(policy, action);
  AddPolicyTest(policy, action);
  AddPolicyExplain(policy, action);
  AddPolicyWhyNot(policy, action);
  AddPolicyDiff(policy, action);
  AddPolicyReplay(policy, action);
  AddPolicyLearn(policy, action);
  AddPolicySchema(policy, action);
  AddPolicyProtected(policy, action);
  AddPolicyCorpus(policy, action);
  AddPolicyBench(policy, action);
}

}  // namespace bulkhead::cli

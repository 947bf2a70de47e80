#include "policy/tools/lint_ids.h"

#include <algorithm>
#include <array>

namespace bulkhead::policy::tools {

namespace {

using enum DecidedBy;

constexpr std::array kIds = std::to_array<LintId>({
    {"E000", kLoader, "the file is not YAML", "mend the syntax at the place that is named"},
    {"E001", kLoader, "a key occurs twice in one mapping", "readers disagree which one holds: keep one"},
    {"E002", kLoader, "an anchor, alias, merge key or tag", "write the value out"},
    {"E003", kLoader, "an unknown field", "use the name that is suggested, or remove it"},
    {"E004", kLoader, "a scalar that YAML readers take for different things", "quote it"},
    {"E005", kLoader, "text that is not UTF-8, or deceives the eye", "write it in plain characters"},
    {"E007", kLoader, "another apiVersion or kind", "write bulkhead.dev/v1alpha1 and MutationPolicy"},
    {"E008", kLoader, "a field is missing that every policy needs", "add it"},
    {"E009", kLoader, "a value that the field cannot have", "use one that the message names"},
    {"E010", kLoader, "Argo's replies have no such path", "use a path of `bulkhead policy schema --paths`"},
    {"E011", kLoader, "the path names a structure",
     "name its leaves: a rule on a structure would allow fields to come"},
    {"E012", kLoader, "the path counts entries of a list that has names", "name the entry: parameters[ts]"},
    {"E013", kCheck, "a wildcard over keys of which some are protected", "name the keys"},
    {"E014", kLoader, "the path is in a protected set", "write an unprotect with a reason and an expiry, or remove it"},
    {"E015", kLoader, "the call that the policy matches has no such path or op",
     "remove the rule, or match another rpc"},
    {"W016", kCheck, "a deny rule refuses all that the rule allows", "remove one of the two"},
    {"W017", kCheck, "another rule allows all that the rule allows", "remove it, or narrow the other"},
    {"E020", kLoader, "the pattern is no RE2 expression", "see https://github.com/google/re2/wiki/Syntax"},
    {"W021", kCheck, "the pattern admits anything, or any length", "bound its repetitions, or add maxBytes"},
    {"W022", kLoader, "the prefix does not end in a delimiter (told as E009)",
     "end it with one: \"prod\" would admit \"production\""},
    {"W023", kCheck, "text without a bound on its length", "add maxBytes, or limits.stringBytes"},
    {"E024", kLoader, "the enum names a value that the field cannot have", "remove it"},
    {"W025", kCheck, "the phase may be Skipped, Omitted or Pending", "let a plugin skip steps only if it must"},
    {"W026", kCheck, "free text in an output",
     "outputs are spliced into `when` and templates: use charset: token, a pattern or an enum"},
    {"W027", kCheck, "the URL may be plain http", "allow https only"},
    {"W028", kCheck, "the task may be called again within a second", "let requeue.min be at least 1s"},
    {"E029", kLoader, "a value of another type than the field's", "quote it, or write a number"},
    {"W030", kCheck, "the pattern has ^ or $", "remove them: a pattern always matches the whole value"},
    {"E031", kCheck, "the pattern can match {{, which no value may hold", "exclude braces: [^{}]"},
    {"E040", kLoader, "no plugin or no rpc is named", "name it; \"*\" has to be written"},
    {"W041", kCheck, "the policy is for every plugin, or unprotects for every namespace", "name them"},
    {"W042", kCheck, "the plugin is not pinned to a digest", "add match.plugin.digest where the agent knows it"},
    {"W043", kCheck, "two policies match the same call", "both must allow each change: see that this is meant"},
    {"E044", kCheck, "the selector can match nothing", "namespaces and plugins are in lower case"},
    {"E050", kLoader, "mode warn or audit without an end, or for over 90 days", "add expires within 90 days"},
    {"W051", kCheck, "mode warn or audit has expired: the policy is enforced", "write mode: enforce"},
    {"E052", kCheck, "an unprotect has expired", "remove it, or decide anew"},
    {"W053", kCheck, "drop-reply on a call that ends nodes: they would stay Running", "use fail-node"},
    {"W054", kCheck, "the policy was to be reviewed before today", "review it and move reviewBy"},
    {"W055", kCheck, "nobody owns the policy, or a refusal gives no reason", "add metadata.owner, or message"},
    {"E055", kLoader, "an unprotect without a reason or an expiry", "add both"},
    {"E060", kExpression, "types that do not fit", "see the place in the expression"},
    {"E061", kExpression, "an unknown variable", "see policy/expr/README.md for what there is"},
    {"E062", kExpression, "the expression may cost too much", "avoid loops over large lists"},
    {"W063", kExpression, "always true, or always false", "remove it"},
    {"W064", kExpression, "an optional field is read without has()", "write has(x) && ..."},
    {"E065", kExpression, "the spelling of another expression language", "write what is suggested"},
    {"W066", kCheck, "a check that the values of the rules imply (told where they are const or enum)",
     "remove the check"},
    {"E067", kExpression, "no expression", "see the place in the expression"},
    {"W070", kCheck, "no test file names the policy", "write POLICY_test.yaml beside it"},
    {"W071", kTest, "no case exercises a rule", "write one, or remove the rule"},
    {"W072", kTest, "no case fails when a rule is dropped or widened", "write the case that is suggested"},
    {"W073", kCheck, "no case expects a refusal", "test what must not pass"},
    {"W074", kCheck, "a case expects a refusal for whatever reason", "name its violations: {path, by}"},
    {"E080", kCheck, "an output may be returned that no template declares (by name: --workflows, or tests)",
     "use value: {declared: true}, or name what is declared"},
    {"W081", kCheck, "a template (of a test, or of --workflows) declares an output that no rule allows",
     "allow it, or do not declare it"},
    {"W082", kReplay, "a rule that no call of the log needed", "narrow or remove it"},
    {"W083", kCheck, "Argo has fields that it had not at the last review (--reviewed-paths)",
     "see whether the policy should speak of them, and keep the new list"},
    {"E090", kLoader, "a name or id that is taken", "names of policies and ids of rules are unique"},
});

}  // namespace

std::string_view DecidedByName(DecidedBy by) {
  switch (by) {
    case kLoader: return "loader";
    case kExpression: return "expressions";
    case kCheck: return "check";
    case kTest: return "test";
    case kReplay: return "replay";
  }
  return "";
}

std::span<const LintId> LintIds() {
  return kIds;
}

const LintId* FindLintId(std::string_view id) {
  const auto found = std::find_if(kIds.begin(), kIds.end(), [&](const LintId& one) { return one.id == id; });
  return found == kIds.end() ? nullptr : &*found;
}

}  // namespace bulkhead::policy::tools

// bulkhead policy schema, protected: what there is to write rules about.
#include <memory>

#include "policy/schema/schema.h"
#include "policy/tools/json_schema.h"
#include "runner/base/text.h"
#include "runner/cli/policy_command.h"

namespace bulkhead::cli {

namespace {

enum class Kind { kPolicy, kTest };

std::string RpcsOf(uint16_t leaf) {
  std::string names;
  for (const std::string_view name : policy::RpcNames()) {
    if (policy::InReply(*policy::RpcByName(name), leaf)) names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names;
}

// Leaves with their types and sets; `wanted`: only of this set, or all.
int PrintLeaves(std::optional<policy::ProtectedSet> wanted) {
  std::vector<std::vector<Cell>> rows;
  const auto leaves = policy::Leaves();
  for (size_t i = 0; i < leaves.size(); ++i) {
    const policy::LeafSpec& leaf = leaves[i];
    const policy::ProtectedSet set = leaf.field->set;
    if (wanted.has_value() && set != *wanted) continue;
    const std::string names = leaf.field->keys != policy::KeyRule::kNone ? "by its key" : std::string(SetName(set));
    rows.push_back({Cell{std::string(leaf.path)}, Cell{std::string(TypeName(leaf.field->type))},
                    Cell{names.empty() ? "-" : names, names.empty() ? Tone::kGood : Tone::kDim},
                    Cell{RpcsOf(static_cast<uint16_t>(i))}});
  }
  Print(Table({"PATH", "TYPE", "PROTECTED BY", "IN REPLIES TO"}, rows));
  return kExitOk;
}

int PrintProtected(const std::string& name) {
  if (!name.empty()) {
    const auto set = policy::SetByName(name);
    if (!set.has_value())
      return Fail(Error(Code::kInvalidInput, "there is no protected set \"" + EscapeForTerminal(name) + "\"" +
                                                 DidYouMean(name, policy::SetNames())));
    Print(std::string(SetName(*set)) + ": " + std::string(SetReason(*set)) + "\n\n");
    return PrintLeaves(set);
  }
  std::vector<std::vector<Cell>> rows;
  for (const std::string_view set_name : policy::SetNames()) {
    const auto set = policy::SetByName(set_name);
    if (!set.has_value()) continue;
    size_t count = 0;
    for (const policy::LeafSpec& leaf : policy::Leaves()) count += leaf.field->set == *set ? 1 : 0;
    rows.push_back({Cell{std::string(set_name)}, Cell{std::to_string(count), Tone::kPlain, true},
                    Cell{std::string(SetReason(*set))}});
  }
  Print(Table({"SET", "LEAVES", "WHY"}, rows));
  return kExitOk;
}

}  // namespace

void AddPolicySchema(const Verb& policy, Action& action) {
  const Verb schema = policy.AddVerb("schema", "The JSON Schema of policy files, for editors");
  const auto kind = std::make_shared<Kind>(Kind::kPolicy);
  const auto paths = std::make_shared<bool>(false);
  schema.AddChoice("KIND", *kind, {{"policy", Kind::kPolicy}, {"test", Kind::kTest}}, "policy (default) or test")
      .ValueName("policy|test");
  schema.AddFlag("--paths", *paths, "List the paths that rules can have instead, with types and protected sets");
  schema.Footer(
      "  bulkhead policy schema > policy.schema.json\n"
      "and as the first line of a policy, for editors that use yaml-language-server:\n"
      "  # yaml-language-server: $schema=policy.schema.json");
  schema.OnGiven([&action, kind, paths] {
    action = [kind, paths] {
      if (*paths) return PrintLeaves(std::nullopt);
      PrintDocument(*kind == Kind::kPolicy ? policy::tools::PolicySchema() : policy::tools::TestSchema(),
                    Format::kJson);
      return kExitOk;
    };
  });
}

void AddPolicyProtected(const Verb& policy, Action& action) {
  const Verb verb = policy.AddVerb("protected", "The sets of leaves that rules can't allow, and why");
  const auto name = std::make_shared<std::string>();
  verb.AddOption("SET", *name, "List the leaves of this set");
  verb.OnGiven([&action, name] { action = [name] { return PrintProtected(*name); }; });
}

}  // namespace bulkhead::cli

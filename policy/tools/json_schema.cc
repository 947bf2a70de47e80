#include "policy/tools/json_schema.h"

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "policy/rules.h"
#include "policy/schema/schema.h"

namespace bulkhead::policy::tools {

namespace {

using Properties = std::initializer_list<std::pair<std::string_view, Value>>;

constexpr std::string_view kDraft = "http://json-schema.org/draft-07/schema#";

Value StringValue(std::string_view text) {
  return Value::String(std::string(text));
}

Value Typed(std::string_view type, std::string_view description = {}) {
  Value schema = Value::Object();
  schema.Set("type", StringValue(type));
  if (!description.empty()) schema.Set("description", StringValue(description));
  return schema;
}

template <typename Names>
Value OneOf(const Names& names, std::string_view description = {}) {
  Value schema = Typed("string", description);
  Value list = Value::Array();
  for (const std::string_view name : names) list.items.push_back(StringValue(name));
  schema.Set("enum", std::move(list));
  return schema;
}

Value OneOf(std::initializer_list<std::string_view> names, std::string_view description = {}) {
  return OneOf<std::initializer_list<std::string_view>>(names, description);
}

Value List(Value items, std::string_view description = {}) {
  Value schema = Typed("array", description);
  schema.Set("items", std::move(items));
  return schema;
}

Value NonEmpty(Value list) {
  list.Set("minItems", Value::Number(1));
  return list;
}

// A mapping with exactly these keys.
Value Mapping(Properties properties, std::initializer_list<std::string_view> required = {},
              std::string_view description = {}) {
  Value schema = Typed("object", description);
  Value members = Value::Object();
  for (const auto& [key, value] : properties) members.Set(key, value);
  schema.Set("properties", std::move(members));
  schema.Set("additionalProperties", Value::Bool(false));
  if (required.size() > 0) {
    Value list = Value::Array();
    for (const std::string_view key : required) list.items.push_back(StringValue(key));
    schema.Set("required", std::move(list));
  }
  return schema;
}

Value Ref(std::string_view name) {
  Value schema = Value::Object();
  schema.Set("$ref", StringValue("#/definitions/" + std::string(name)));
  return schema;
}

Value OrNull(Value schema) {
  Value types = Value::Array();
  types.items.push_back(*schema.Find("type"));
  types.items.push_back(StringValue("null"));
  schema.Set("type", std::move(types));
  return schema;
}

Value Integer(std::string_view description, int64_t least) {
  Value schema = Typed("integer", description);
  schema.Set("minimum", Value::Number(least));
  return schema;
}

Value Matching(std::string_view pattern, std::string_view description) {
  Value schema = Typed("string", description);
  schema.Set("pattern", StringValue(pattern));
  return schema;
}

// The leaves without keys literally, so that editors complete them; those with keys as patterns and examples.
Value PathSchema() {
  Value plain = Value::Array();
  Value examples = Value::Array();
  std::set<std::string> patterns;
  for (const LeafSpec& leaf : Leaves()) {
    if (leaf.keys == 0) {
      plain.items.push_back(StringValue(leaf.path));
      continue;
    }
    std::string pattern = "^";
    std::string example;
    for (size_t i = 0; i < leaf.path.size(); ++i) {
      if (leaf.path.substr(i, 2) == "[]") {
        pattern += "\\[[^\\]]+\\]";
        example += "[NAME]";
        ++i;
      } else {
        pattern += leaf.path[i] == '.' ? std::string("\\.") : std::string(1, leaf.path[i]);
        example += leaf.path[i];
      }
    }
    patterns.insert(pattern + "$");
    if (leaf.field->set == ProtectedSet::kNone) examples.items.push_back(StringValue(example));
  }
  Value any = Value::Array();
  Value literal = Value::Object();
  literal.Set("enum", std::move(plain));
  any.items.push_back(std::move(literal));
  for (const std::string& pattern : patterns) {
    Value one = Value::Object();
    one.Set("pattern", StringValue(pattern));
    any.items.push_back(std::move(one));
  }
  Value schema = Typed("string", "A leaf of the reply: `bulkhead policy schema --paths` lists all");
  schema.Set("anyOf", std::move(any));
  schema.Set("examples", std::move(examples));
  return schema;
}

Value ConstraintSchema() {
  Value schema = Mapping(
      {{"const", Typed("string", "The value is this text")},
       {"enum", NonEmpty(List(Typed("string"), "The value is one of these"))},
       {"pattern", Typed("string", "The whole value matches this RE2 expression")},
       {"prefix", Typed("string", "The value begins so; ends in a delimiter")},
       {"type", OneOf({"string", "integer", "number", "boolean"}, "What the value's text is")},
       {"min", Typed("number", "The number is at least this")},
       {"max", Typed("number", "The number is at most this")},
       {"maxBytes", Integer("The text is no longer", 0)},
       {"charset", OneOf({"token", "printable", "text"},
                         "token: letters, digits and _ . : / @ + -; printable: no control characters; text: printable, "
                         "tabs and line ends")},
       {"url", Mapping({{"schemes", List(OneOf({"https", "http"}), "https when not given")},
                        {"hosts", NonEmpty(List(Typed("string"), "Exact names, or *.example.com for those below it"))},
                        {"ports", List(Integer("A port", 1))},
                        {"pathPrefix", Typed("string", "Ends in /")}},
                       {"hosts"}, "The value is a URL to one of these places")},
       {"duration",
        Mapping({{"min", Typed("string", "A Go duration: 5s")}, {"max", Typed("string", "A Go duration: 10m")}},
                {"min", "max"}, "The value is a duration within")},
       {"declared", Typed("boolean", "The name is one of the template's outputs")},
       {"unchanged", Typed("boolean", "The value is what it was")}},
      {}, "What the new value must be like; all that is given must hold");
  schema.Set("minProperties", Value::Number(1));
  return schema;
}

Value IdSchema() {
  return Matching("^[A-Za-z0-9._-]{1,64}$", "Unique in the policy; audit records and messages name it");
}

Value DaySchema(std::string_view description) {
  return Matching("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description);
}

Value Document(std::string_view title, Value root, Properties definitions) {
  Value document = Value::Object();
  document.Set("$schema", StringValue(kDraft));
  document.Set("title", StringValue(title));
  for (Member& member : root.members) document.Set(member.key, std::move(member.value));
  Value all = Value::Object();
  for (const auto& [name, schema] : definitions) all.Set(name, schema);
  document.Set("definitions", std::move(all));
  return document;
}

Value SpecSchema() {
  const Value op = List(OneOf({"add", "change", "remove"}), "[add, change] when not given");
  const Value message = Typed("string", "What whoever is refused reads");
  const Value when = Typed("string", "An expression; the rule counts only when it is true");
  return Mapping(
      {{"mode", OneOf({"enforce", "warn", "audit"}, "warn and audit let pass what rules refuse, until expires")},
       {"expires", DaySchema("The last day of mode warn or audit, quoted")},
       {"onDeny", OneOf({"fail-node", "fail-workflow", "drop-reply"}, "What becomes of a refused reply's node")},
       {"transport", OneOf({"mtls", "plaintext-loopback"})},
       {"match", Ref("match")},
       {"limits", Mapping({{"replyBytes", Integer("Of the reply as it came", 1)},
                           {"depth", Integer("Nested lists and mappings", 1)},
                           {"items", Integer("In one list or mapping", 1)},
                           {"stringBytes", Integer("Of one text", 1)},
                           {"requeues", Integer("How often one task may be called again", 1)}})},
       {"protect", List(OneOf({"all"}))},
       {"unprotect", List(Mapping({{"set", OneOf(SetNames())},
                                   {"path", Ref("path")},
                                   {"reason", Typed("string")},
                                   {"expires", DaySchema("The last day, quoted")}},
                                  {"set", "path", "reason", "expires"}),
                          "Leaves of protected sets that rules may allow, until a day")},
       {"allow", List(Mapping({{"id", Ref("id")},
                               {"path", Ref("path")},
                               {"op", op},
                               {"value", Ref("value")},
                               {"when", when},
                               {"log", OneOf({"value"}, "Audit records may hold the value")},
                               {"note", Typed("string")}},
                              {"id", "path"}),
                      "What a reply may change; everything else is refused")},
       {"deny", List(Mapping({{"id", Ref("id")},
                              {"path", Ref("path")},
                              {"value", Ref("value")},
                              {"when", when},
                              {"message", message}},
                             {"id", "path"}),
                     "Wins over allow")},
       {"require", List(Mapping({{"id", Ref("id")}, {"path", Ref("path")}, {"message", message}}, {"id", "path"}),
                        "What must be there after the reply")},
       {"checks",
        List(Mapping(
            {{"id", Ref("id")}, {"expr", Typed("string", "An expression that must be true")}, {"message", message}},
            {"id", "expr"}))}},
      {"match"});
}

}  // namespace

Value PolicySchema() {
  const Value match = Mapping(
      {{"plugin", Mapping({{"name", Typed("string", "* stands for any run of characters")},
                           {"digest", Matching("^sha256:[0-9a-f]{64}$", "Of the plugin's image")}},
                          {"name"})},
       {"rpc", NonEmpty(List(OneOf(RpcNames())))},
       {"namespaces", NonEmpty(List(Typed("string"), "[\"*\"] for all"))},
       {"templates", NonEmpty(List(Typed("string"), "[\"*\"] for all"))},
       {"workflowLabels", Typed("object", "Label to the value it must have; * stands for any run of characters")}},
      {"plugin", "rpc", "namespaces", "templates"}, "The calls that the policy is for; all that is given must hold");
  Value root = Mapping({{"apiVersion", OneOf({kApiVersion, kOldApiVersion})},
                        {"kind", OneOf({"MutationPolicy"})},
                        {"metadata", Mapping({{"name", Ref("id")},
                                              {"owner", Typed("string", "Who answers for the policy")},
                                              {"reviewBy", DaySchema("When it is to be looked at again, quoted")}},
                                             {"name"})},
                        {"spec", SpecSchema()}},
                       {"apiVersion", "kind", "metadata", "spec"});
  return Document("Mutation policy of Bulkhead", std::move(root),
                  {{"id", IdSchema()}, {"path", PathSchema()}, {"value", ConstraintSchema()}, {"match", match}});
}

Value TestSchema() {
  const Value context = Mapping({{"plugin", Typed("string")},
                                 {"digest", Typed("string")},
                                 {"rpc", OneOf(RpcNames())},
                                 {"workflow", Mapping({{"name", Typed("string")},
                                                       {"namespace", Typed("string")},
                                                       {"uid", Typed("string")},
                                                       {"labels", Typed("object")},
                                                       {"annotations", Typed("object")}})},
                                 {"template", Typed("object", "The template that was sent: name, outputs, ...")},
                                 {"node", OrNull(Typed("object", "The node before the reply; null: none yet"))},
                                 {"sent", Typed("object", "The state before, in the form of a reply")},
                                 {"now", DaySchema("The day on which the reply comes, for expiries")}});
  Value contexts = Typed("object", "Named calls; \"default\" is the one that cases change");
  contexts.Set("additionalProperties", Ref("context"));
  Value own_context = Value::Object();
  Value choices = Value::Array();
  choices.items.push_back(Typed("string", "The name of a context"));
  choices.items.push_back(Ref("context"));
  own_context.Set("anyOf", std::move(choices));
  const Value expect = Mapping(
      {{"verdict", OneOf({"allow", "deny", "error", "not-mine"}, "error: refused by decoding, before any policy")},
       {"violations",
        List(
            Mapping({{"path", Typed("string")}, {"by", Typed("string", "A rule, a set, a guard or decode.*")}}, {"by"}),
            "Exactly these")},
       {"rules", List(Typed("string"), "Exactly these rules matched")},
       {"effective", Typed("object", "The state after the last reply")}},
      {"verdict"});
  const Value test = Mapping({{"name", Typed("string")},
                              {"context", std::move(own_context)},
                              {"use", Typed("string", "The context that `context` changes; \"default\" if not given")},
                              {"reply", Value::Object()},
                              {"rawReply", Typed("string", "The reply's bytes, as they come")},
                              {"rawReplyBase64", Typed("string")},
                              {"replies", NonEmpty(List(Value::Object(), "One after the other, on one node"))},
                              {"expect", Ref("expect")}},
                             {"name", "expect"});
  Value percent = Integer("Percent", 0);
  percent.Set("maximum", Value::Number(100));
  Value root = Mapping({{"apiVersion", OneOf({kApiVersion, kOldApiVersion})},
                        {"kind", OneOf({"MutationPolicyTest"})},
                        {"policies", NonEmpty(List(Typed("string"), "Files, relative to this one"))},
                        {"context", std::move(contexts)},
                        {"cases", NonEmpty(List(test))},
                        {"require", Mapping({{"ruleCoverage", percent},
                                             {"ruleKill", percent},
                                             {"hostileCorpus", OneOf({"all-denied"})},
                                             {"minCases", Integer("", 1)}})}},
                       {"apiVersion", "kind", "policies", "cases"});
  return Document("Test of mutation policies of Bulkhead", std::move(root), {{"context", context}, {"expect", expect}});
}

}  // namespace bulkhead::policy::tools

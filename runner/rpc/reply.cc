#include "runner/rpc/reply.h"

#include <algorithm>
#include <utility>

#include "runner/base/argo_schema.h"
#include "runner/base/text.h"

namespace bulkhead::rpc {

namespace {

constexpr size_t kMostFaults = 32;
constexpr size_t kMostNameShown = 64;
constexpr size_t kMostIntegerDigits = 15;  // below 2^53: what every JSON reader keeps exactly

// A name of the plugin's choice, short and harmless.
std::string Shown(std::string_view name) {
  return EscapeForTerminal(name.substr(0, kMostNameShown)) + (name.size() > kMostNameShown ? "..." : "");
}

// "/node/outputs/parameters/0/name" to "node.outputs.parameters[0].name".
std::string PathOfPointer(std::string_view pointer) {
  std::string path;
  for (const std::string& segment : Split(pointer, '/')) {
    if (segment.empty()) continue;
    const bool index = std::all_of(segment.begin(), segment.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (index) {
      path += "[" + segment + "]";
    } else {
      path += (path.empty() ? "" : ".") + Shown(segment);
    }
  }
  return path;
}

bool IsPlainInteger(std::string_view lexeme) {
  if (lexeme.starts_with('-')) lexeme.remove_prefix(1);
  return !lexeme.empty() && lexeme.size() <= kMostIntegerDigits &&
         std::all_of(lexeme.begin(), lexeme.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Walks a tree beside Argo's types: reports what does not fit, and brings what does into the one form
// that is passed on (nulls dropped, as Go reads them; AnyString as strings).
class Checker {
 public:
  explicit Checker(std::vector<DecodeFault>& faults) : faults_(faults) {}

  void Struct(Value& value, const StructSpec& spec, const std::string& path) {
    if (!value.is_object()) return WrongType(value, path, "a mapping");
    std::erase_if(value.members, [&](Member& member) { return !Keep(member, spec, path); });
  }

 private:
  bool Keep(Member& member, const StructSpec& spec, const std::string& path) {
    const FieldSpec* const field = spec.Find(member.key);
    const std::string inner =
        (path.empty() ? "" : path + ".") + (field != nullptr ? std::string(field->name) : Shown(member.key));
    if (field == nullptr) {
      Unknown(member.key, spec, inner);
      return false;
    }
    if (member.value.is_null()) return false;
    Field(member.value, *field, inner);
    return true;
  }

  void Field(Value& value, const FieldSpec& field, const std::string& path) {
    switch (field.type) {
      case FieldType::kString:
        if (!value.is_string()) WrongType(value, path, "a string");
        break;
      case FieldType::kAnyString: AnyString(value, path); break;
      case FieldType::kDuration:
        if (!value.is_string()) {
          WrongType(value, path, "a string such as \"30s\"");
        } else if (const auto duration = ParseGoDuration(value.text); !duration.has_value() || duration->count() < 0) {
          Add("decode.bad-duration", path, "must be a Go duration such as \"30s\" or \"2m\"");
        }
        break;
      case FieldType::kBool:
        if (!value.is_bool()) WrongType(value, path, "a boolean");
        break;
      case FieldType::kInteger:
        if (!value.is_number() || !IsPlainInteger(value.text)) WrongType(value, path, "an integer");
        break;
      case FieldType::kStrings:
        if (!value.is_array()) return WrongType(value, path, "a list of strings");
        for (Value& item : value.items) {
          if (!item.is_string()) WrongType(item, path, "a list of strings");
        }
        break;
      case FieldType::kStringMap:
        if (!value.is_object()) return WrongType(value, path, "a mapping of strings");
        for (Member& member : value.members) {
          if (!member.value.is_string()) WrongType(member.value, path, "a mapping of strings");
        }
        break;
      case FieldType::kAnything: break;
      case FieldType::kStruct: Struct(value, *field.child, path); break;
      case FieldType::kKeyedList:
        if (!value.is_array()) return WrongType(value, path, "a list");
        for (size_t i = 0; i < value.items.size(); ++i)
          Struct(value.items[i], *field.child, path + "[" + std::to_string(i) + "]");
        break;
    }
  }

  // Go reads a number here through float64 and prints it again; only what survives that is taken.
  void AnyString(Value& value, const std::string& path) {
    if (value.is_bool()) value = Value::String(value.boolean ? "true" : "false");
    if (value.is_number() && IsPlainInteger(value.text)) value = Value::String(value.text);
    if (!value.is_string()) WrongType(value, path, "a string");
  }

  void Unknown(std::string_view key, const StructSpec& spec, const std::string& path) {
    std::vector<std::string_view> names;
    for (const FieldSpec& field : spec.fields) {
      if (FoldsTo(key, field.name)) {
        return Add(
            "decode.wrong-case", path,
            "\"" + Shown(key) + "\" is not the field \"" + std::string(field.name) + "\", which Go would take it for");
      }
      names.push_back(field.name);
    }
    Add("decode.unknown-field", path,
        "Argo has no field \"" + Shown(key) + "\" in " + std::string(spec.name) + DidYouMean(key, names));
  }

  void WrongType(const Value& value, const std::string& path, std::string_view expected) {
    Add("decode.wrong-type", path,
        std::string(path.empty() ? "the reply" : path) + " must be " + std::string(expected) + ", not a " +
            std::string(KindName(value.kind)));
  }

  void Add(std::string_view id, const std::string& path, std::string message) {
    if (faults_.size() < kMostFaults) faults_.push_back({std::string(id), path, std::move(message)});
  }

  std::vector<DecodeFault>& faults_;
};

}  // namespace

Decoded DecodeExecuteReply(std::string_view bytes, const JsonLimits& limits) {
  Decoded decoded;
  JsonParse parsed = ParseJson(bytes, limits);
  if (!parsed.ok) {
    const std::string path = PathOfPointer(parsed.error.pointer);
    decoded.faults.push_back({"decode." + std::string(JsonFaultName(parsed.error.fault)), path,
                              EscapeForTerminal(parsed.error.message) + (path.empty() ? "" : " (at " + path + ")")});
    return decoded;
  }
  DecodedReply reply;
  if (parsed.value.is_null()) {
    reply.document = Value::Object();
    decoded.reply = std::move(reply);
    return decoded;
  }
  Checker(decoded.faults).Struct(parsed.value, ExecuteReplySpec(), "");
  if (!decoded.faults.empty()) return decoded;
  reply.document = std::move(parsed.value);
  reply.mine = reply.document.Find("node") != nullptr;
  if (const Value* requeue = reply.document.Find("requeue")) reply.requeue = ParseGoDuration(requeue->text);
  decoded.reply = std::move(reply);
  return decoded;
}

}  // namespace bulkhead::rpc

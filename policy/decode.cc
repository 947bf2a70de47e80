#include "policy/decode.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

constexpr size_t kMostFaults = 32;
constexpr size_t kMostNameShown = 64;
constexpr size_t kMostIntegerDigits = 15;  // below 2^53: what every JSON reader keeps exactly

// A name of the plugin's choice, short and harmless.
void AppendShown(std::string_view name, std::string& out) {
  const std::string_view shown = name.substr(0, kMostNameShown);
  const bool plain = std::all_of(shown.begin(), shown.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (plain) {
    out += shown;
  } else {
    out += EscapeForTerminal(shown);
  }
  if (name.size() > kMostNameShown) out += "...";
}

void AppendIndex(size_t index, std::string& out) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), index);
  out += '[';
  out.append(digits.data(), end.ptr);
  out += ']';
}

// "/node/outputs/parameters/0/name" to "node.outputs.parameters[0].name".
void AppendPathOfPointer(std::string_view pointer, std::string& path) {
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view segment = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(segment.size());
    if (segment.empty()) continue;
    if (std::all_of(segment.begin(), segment.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      path += '[';
      AppendShown(segment, path);
      path += ']';
    } else {
      if (!path.empty()) path += '.';
      AppendShown(segment, path);
    }
  }
}

// What Go reads as the same number on every way: no fraction, no exponent, no more digits than a double keeps, and
// not -0, which is 0 to it.
bool IsPlainInteger(std::string_view lexeme) {
  if (lexeme == "-0") return false;
  if (lexeme.starts_with('-')) lexeme.remove_prefix(1);
  return !lexeme.empty() && lexeme.size() <= kMostIntegerDigits &&
         std::all_of(lexeme.begin(), lexeme.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Argo's integers in a result have 32 bits; those of a workflow have 64.
bool FitsArgo(std::string_view lexeme, std::string_view path) {
  if (!IsPlainInteger(lexeme)) return false;
  int32_t number = 0;
  return path.starts_with("workflow.") ||
         std::from_chars(lexeme.data(), lexeme.data() + lexeme.size(), number).ec == std::errc();
}

constexpr std::string_view kTwins = "two keys of one object differ only by case, and a Go reader takes them for one";

bool HasFoldedTwins(const JsonNode& object) {
  std::vector<std::string_view> keys;
  for (const JsonNode& child : Children(object)) keys.push_back(child.key);
  std::sort(keys.begin(), keys.end(), [](std::string_view a, std::string_view b) { return CompareFolded(a, b) < 0; });
  return std::adjacent_find(keys.begin(), keys.end(), FoldsTo) != keys.end();
}

JsonNode* FirstChild(JsonNode& node) {
  return &node + 1;
}

bool IsBlank(std::string_view bytes) {
  return bytes.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

bool Decoder::Decode(Rpc rpc, std::string_view bytes, FaultSink& sink) {
  sink_ = &sink;
  faults_ = 0;
  path_.clear();
  says_something_ = false;
  const StructSpec* const spec = ReplySpec(rpc);
  // Go's client takes an empty body for an error, but a hook that answers nothing has nothing to say.
  if (spec == nullptr && IsBlank(bytes)) return true;
  JsonLimits limits;
  limits.bytes = kMostReplyBytes;
  // Go folds the names of fields, not the keys of mappings: Struct and FoldedTwins look at those that it would fold.
  limits.fold_keys = false;
  if (!document_.Parse(bytes, limits)) {
    const JsonError& error = document_.error();
    AppendPathOfPointer(error.pointer, path_);
    message_ = error.message;
    if (!path_.empty()) message_.append(" (at ").append(path_).append(")");
    id_ = "decode.";
    id_ += JsonFaultName(error.fault);
    Add(id_);
    return false;
  }
  JsonNode& root = document_.root();
  if (root.is_null()) return true;
  if (spec == nullptr) {
    if (root.is_object() && root.size == 0) return true;
    message_ = "the reply of this method has no content: answer {}";
    Add("decode.unexpected-body");
    return false;
  }
  Struct(root, *spec);
  for (const JsonNode& member : Children(root)) says_something_ |= !member.is_null();
  return faults_ == 0;
}

void Decoder::Struct(JsonNode& value, const StructSpec& spec) {
  if (!value.is_object()) return WrongType(value, "a mapping");
  const size_t outer = path_.size();
  JsonNode* member = FirstChild(value);
  for (uint32_t i = 0; i < value.size; ++i, member += member->span) {
    const FieldSpec* const field = spec.Find(member->key);
    if (outer > 0) path_ += '.';
    if (field == nullptr) {
      AppendShown(member->key, path_);
      Unknown(value, *member, spec);
    } else {
      path_ += field->name;
      member->mark = field;
      if (!member->is_null()) Field(*member, *field);
    }
    path_.resize(outer);
  }
}

void Decoder::Field(JsonNode& value, const FieldSpec& field) {
  switch (field.type) {
    case FieldType::kString:
      if (!value.is_string()) WrongType(value, "a string");
      return;
    case FieldType::kAnyString: return AnyString(value);
    case FieldType::kDuration:
      if (!value.is_string()) {
        WrongType(value, "a string such as \"30s\"");
      } else if (const auto duration = ParseGoDuration(value.text); !duration.has_value() || duration->count() < 0) {
        message_ = "must be a Go duration such as \"30s\" or \"2m\"";
        Add("decode.bad-duration");
      }
      return;
    case FieldType::kBool:
      if (value.kind != Value::Kind::kBool) WrongType(value, "a boolean");
      return;
    case FieldType::kInteger:
      if (value.kind != Value::Kind::kNumber || !FitsArgo(value.text, path_)) WrongType(value, "an integer");
      return;
    case FieldType::kStrings:
      if (!value.is_array()) return WrongType(value, "a list of strings");
      for (const JsonNode& item : Children(value)) {
        if (!item.is_string()) return WrongType(item, "a list of strings");
      }
      return;
    case FieldType::kStringMap: return StringMap(value);
    case FieldType::kAnything: return Anything(value);
    case FieldType::kStruct: return Struct(value, *field.child);
    case FieldType::kKeyedList: return List(value, field);
  }
}

void Decoder::List(JsonNode& value, const FieldSpec& field) {
  if (!value.is_array()) return WrongType(value, "a list");
  const size_t outer = path_.size();
  JsonNode* item = FirstChild(value);
  for (uint32_t i = 0; i < value.size; ++i, item += item->span) {
    AppendIndex(i, path_);
    Struct(*item, *field.child);
    path_.resize(outer);
  }
}

void Decoder::StringMap(JsonNode& value) {
  if (!value.is_object()) return WrongType(value, "a mapping of strings");
  for (const JsonNode& member : Children(value)) {
    if (!member.is_string() && !member.is_null()) return WrongType(member, "a mapping of strings");
  }
}

// Whatever type Argo has there, Go folds the names of its fields.
void Decoder::Anything(const JsonNode& value) {
  const JsonNode* const end = value.Next();
  for (const JsonNode* node = &value; node != end; ++node) {
    if (!node->is_object() || !HasFoldedTwins(*node)) continue;
    message_ = kTwins;
    return Add("decode.duplicate-key");
  }
}

// Go reads a number here through float64 and prints it again; only what survives that is taken.
void Decoder::AnyString(JsonNode& value) {
  if (value.kind == Value::Kind::kBool) {
    value.kind = Value::Kind::kString;
    value.text = value.boolean ? "true" : "false";
  } else if (value.kind == Value::Kind::kNumber && IsPlainInteger(value.text)) {
    value.kind = Value::Kind::kString;
  } else if (!value.is_string()) {
    WrongType(value, "a string");
  }
}

void Decoder::Unknown(const JsonNode& object, const JsonNode& member, const StructSpec& spec) {
  message_.clear();
  for (const FieldSpec& field : spec.fields) {
    if (!FoldsTo(member.key, field.name)) continue;
    if (FindMember(object, field.name) != nullptr) {
      message_ = kTwins;
      return Add("decode.duplicate-key");
    }
    message_ += '"';
    AppendShown(member.key, message_);
    message_.append("\" is not the field \"").append(field.name).append("\", which Go would take it for");
    return Add("decode.wrong-case");
  }
  std::array<std::string_view, 64> names;
  size_t count = 0;
  for (const FieldSpec& field : spec.fields) {
    if (count < names.size()) names[count++] = field.name;
  }
  message_ += "Argo has no field \"";
  AppendShown(member.key, message_);
  message_.append("\" in ").append(spec.path.empty() ? "a reply" : spec.path);
  // A long name is no typo of a short one, and its distance is dear.
  if (member.key.size() <= kMostNameShown) message_ += DidYouMean(member.key, {names.data(), count});
  Add("decode.unknown-field");
}

void Decoder::WrongType(const JsonNode& value, std::string_view expected) {
  message_ = path_.empty() ? "the reply" : path_;
  message_.append(" must be ").append(expected).append(", not a ").append(KindName(value.kind));
  Add("decode.wrong-type");
}

void Decoder::Add(std::string_view id) {
  if (++faults_ <= kMostFaults) sink_->Fault(id, path_, message_);
}

Decoded DecodeReply(Rpc rpc, std::string_view bytes) {
  struct Collector final : FaultSink {
    std::vector<DecodeFault> faults;
    void Fault(std::string_view id, std::string_view path, std::string_view message) override {
      faults.push_back({std::string(id), std::string(path), std::string(message)});
    }
  };
  Collector collector;
  Decoder decoder;
  Decoded decoded;
  decoded.ok = decoder.Decode(rpc, bytes, collector);
  decoded.faults = std::move(collector.faults);
  if (!decoded.ok) return decoded;
  decoded.says_something = decoder.says_something();
  decoded.document = decoder.document().nodes().empty() ? "null" : ToJson(ToValue(decoder.document().root()));
  return decoded;
}

}  // namespace bulkhead::policy

#include "runner/kube/watch_event.h"

#include <utility>

#include "runner/base/text.h"
#include "runner/kube/client.h"

namespace bulkhead::kube {

namespace {

std::string TextOf(const Value* object, std::string_view key) {
  const Value* const value = object == nullptr ? nullptr : object->Find(key);
  return value != nullptr && value->is_string() ? value->text : "";
}

WatchEvent::Type TypeOf(std::string_view type, const Value& object) {
  if (type == "ADDED" || type == "MODIFIED") return WatchEvent::Type::kChanged;
  if (type == "DELETED") return WatchEvent::Type::kDeleted;
  if (type != "ERROR") return WatchEvent::Type::kMoved;
  const Value* const code = object.Find("code");
  return code != nullptr && code->text == "410" ? WatchEvent::Type::kGone : WatchEvent::Type::kError;
}

}  // namespace

Result<WatchEvent> ReadWatchEvent(std::string_view line) {
  auto read = ParseObject(line);
  if (!read.ok()) return Error(Code::kCorrupt, "an event cannot be read: " + read.error().message());
  Value* const object = read->Find("object");
  if (object == nullptr || !object->is_object()) return Error(Code::kCorrupt, "an event without an object");
  WatchEvent event;
  event.type = TypeOf(TextOf(&*read, "type"), *object);
  if (event.type == WatchEvent::Type::kGone || event.type == WatchEvent::Type::kError)
    event.message = EscapeForTerminal(TextOf(object, "message"));
  event.version = TextOf(object->Find("metadata"), "resourceVersion");
  event.object = std::move(*object);
  return event;
}

}  // namespace bulkhead::kube

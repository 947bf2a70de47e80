// WatchEvent: one line of a watch (kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of
// changes").
#pragma once

#include <string>
#include <string_view>

#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead::kube {

struct WatchEvent {
  enum class Type {
    kChanged,  // ADDED, MODIFIED
    kDeleted,
    kMoved,  // BOOKMARK, and what is not known: says a version and nothing else
    kGone,   // ERROR with code 410: the version is too old
    kError,  // ERROR otherwise
  };
  Type type = Type::kMoved;
  Value object;
  std::string version;  // the object's, to go on watching from; may be empty
  std::string message;  // kGone, kError: the server's own words, escaped
};

// kCorrupt when the line is no event. Pure.
Result<WatchEvent> ReadWatchEvent(std::string_view line);

}  // namespace bulkhead::kube

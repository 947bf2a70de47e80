// The one way a policy or a test file is laid out. Comments and the author's quoting stay; indentation, spacing,
// empty lines and the order of a rule's keys are settled.
//
// Format proves its own work before it gives it: the new text reads as the same documents (the order of a mapping's
// keys apart), holds the same comments, and formats to itself. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "runner/base/result.h"

namespace bulkhead::policy::tools {

// kInvalidInput when `text` is not strict YAML (each "file:line:column: ..."); kInternal when the proof failed, in
// which case the file must be left as it is.
Result<std::string> Format(std::string_view text, std::string_view file);

}  // namespace bulkhead::policy::tools

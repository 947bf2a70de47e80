// What no policy has to say and none can switch off: the guards that hold for every reply. Pure functions.
#pragma once

#include <string_view>

#include "runner/base/json_document.h"

namespace bulkhead::policy {

constexpr std::string_view kValuesGuard = "argo.values";
constexpr std::string_view kTransitionsGuard = "argo.transitions";
constexpr std::string_view kListKeysGuard = "argo.list-keys";

// What a text would do to Argo or to a reader.
struct TextFindings {
  std::string_view harm;   // the rest of a sentence; empty: none
  bool text_only = false;  // tabs, line ends, joiners: harmless in a message, out of place in a name or a token
};
TextFindings InspectText(std::string_view text);

// The same over all strings and keys of a value, whatever its kind; `longest` becomes the size of the longest.
TextFindings InspectValue(const JsonNode& value, size_t& longest);

// No control characters but, for `lines`, tab and line end; nothing that deceives a reader.
bool IsHarmlessText(std::string_view text, bool lines);

// Of a variable of parameters.add: letters, digits, '_', '-' and '.'.
bool IsVariableName(std::string_view name);

// Argo's NodePhase.Fulfilled.
bool IsFinished(std::string_view phase);
// Skipped and Omitted let dependants go on: only a rule that names them may allow them.
bool NeedsNaming(std::string_view phase);

// Why a node may not go from `before` (empty: it has no phase yet) to `after`; empty: it may.
std::string_view BadTransition(std::string_view before, std::string_view after);

}  // namespace bulkhead::policy

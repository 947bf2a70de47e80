// Diagnostics of policy files, for people and for tools: rendering with the source line and a caret, and
// the ids. E.. are errors: the file is not loaded; W.. are warnings, which only the lint gives.
//
//   E000 not YAML                      E014 a protected path is allowed without `unprotect`
//   E001 duplicate key                 E015 an op or path that the RPC cannot have
//   E002 anchor, alias, merge key, tag E020 a pattern that is no RE2 expression
//   E003 unknown field                 E024 an enum value that the field cannot have
//   E004 ambiguous scalar              E029 a value of another type
//   E005 not UTF-8                     E040 no plugin or no rpc selector
//   E007 apiVersion or kind            E050 warn or audit without `expires`, or over 90 days from `now`
//   E008 a required field is absent    E055 an `unprotect` without reason or expiry
//   E009 a value that is not allowed   E060.. of expressions (policy/expr/finding.h)
//   E010 no such path                  E090 a name or id that is taken
//   E011 a struct path
//   E012 an index on a keyed list
#pragma once

#include <string>
#include <string_view>

#include "runner/base/diagnostic.h"

namespace bulkhead::policy {

using bulkhead::Diagnostic;
using bulkhead::Diagnostics;
using bulkhead::Severity;

// "file:line:column: error[E003]: message (did you mean "hint"?)", then the source's line and, below it, a caret
// with a '~' for each further byte of the length. `source` is the text of the file. Everything is fit for a terminal.
// Ends in a newline.
std::string Render(const Diagnostic& diagnostic, std::string_view source);

// All of them, in the order of their places.
std::string Render(const Diagnostics& diagnostics, std::string_view source);

}  // namespace bulkhead::policy

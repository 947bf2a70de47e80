// A JSON Schema (draft 7, which editors read) of policy files and of test files: completion and errors while typing.
// It is a help, not the judge: `bulkhead policy check` knows more.
#pragma once

#include "runner/base/value.h"

namespace bulkhead::policy::tools {

Value PolicySchema();
Value TestSchema();

}  // namespace bulkhead::policy::tools

// What a compiler of expressions has to say about a source text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::expr {

// E060 types that do not fit, unknown fields, functions and wrong arguments
// E061 unknown variable
// E062 the bound on the cost is over the budget
// W063 an operand or the whole is always true or always false
// W064 an optional field is read where no has() makes sure of it
// E065 a spelling of another expression language; the fix-it has ours
// E067 no expression: syntax, nesting, or a text that is too long
struct Finding {
  std::string id;
  uint32_t offset = 0;  // bytes from the beginning of the source
  uint32_t length = 0;  // bytes; 0: at the end of the source
  std::string message;  // a sentence that says what to write instead; quotes only the source, escaped
  // What to write in place of the `length` bytes at `offset`; empty: no mechanical correction is known.
  // Corrections of two findings may overlap: whoever writes several at once takes one of those.
  std::string fixit;

  bool is_error() const { return id.front() == 'E'; }
};

bool HasErrors(const std::vector<Finding>& findings);

// "1:7: error[E060]: message", the source's line and a caret line under it; ends in a newline. Columns count bytes.
std::string Render(std::string_view source, const Finding& finding);

}  // namespace bulkhead::expr

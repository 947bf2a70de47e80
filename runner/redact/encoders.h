// The forms in which a secret turns up in text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::redact {

// Each distinct form once, the secret itself first:
//   base64 (RFC 4648 sections 4 and 5) at all three alignments, without the characters that depend on
//     the bytes around the secret, so that "user:secret" in a Basic header is found;
//   hex in both cases;
//   percent-encoding: of reserved characters as encodeURIComponent, as RFC 3986 and as forms do it, in
//     both cases of hex, and of every byte;
//   JSON escapes as Go, Python and JavaScript write them; HTML entities; backslash escapes of C, Python
//     and shells; and the escapes of this program's own terminal output.
// Forms of forms, line-wrapped base64 and other alphabets are not made.
std::vector<std::string> EncodedForms(std::string_view secret);

}  // namespace bulkhead::redact

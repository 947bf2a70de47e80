// The part of a plugin's filter that libseccomp can't express: an answer for all values of an argument
// but some, where the rest of the call is allowed. It runs before libseccomp's program and falls through
// to it. Registers are compared by the 32 bits that the kernel uses of these arguments: a comparison of
// all 64 would let a set upper bit past it (as with TIOCSTI in CVE-2019-10063).
#pragma once

#include <string>

#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {

// Packed struct sock_filter[].
std::string BpfPrefix(Tier tier);

}  // namespace bulkhead::sandbox

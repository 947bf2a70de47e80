// Numbers as text and back, as Go does it. Pure functions. Internal to policy/expr/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::expr {

std::optional<int64_t> ParseInt(std::string_view text);    // decimal, with a sign or without
std::optional<double> ParseDouble(std::string_view text);  // also "inf", "nan" and exponents
std::optional<int64_t> Truncate(double number);            // towards zero; nullopt: not within 64 bits

std::string FormatPlain(double number);          // "1.5", "100000", "1e+21", "NaN", "+Inf": Go's %v, as in expr-lang
std::string FormatGeneral(double number);        // the same, but "1e+06": as CEL's string() in Go
std::string FormatSeconds(int64_t nanoseconds);  // "90s", "0.25s": CEL's string() of a duration
std::string FormatJson(double number);           // as Go's encoding/json; finite numbers only
// -1, 0, 1, or 2 when one is NaN. Exact, whatever the magnitude.
int CompareNumbers(int64_t a, double b);

}  // namespace bulkhead::expr

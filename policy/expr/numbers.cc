#include "policy/expr/numbers.h"

#include <array>
#include <charconv>
#include <cmath>

namespace bulkhead::expr {

namespace {

constexpr double kTwo63 = 9223372036854775808.0;

std::string_view WithoutPlus(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  return text;
}

// The shortest text that reads back as `number`: fixed within [low, high), else with an exponent.
std::string Shortest(double number, double low, double high) {
  const double magnitude = std::fabs(number);
  const bool fixed = number == 0 || (magnitude >= low && magnitude < high);
  std::array<char, 64> buffer{};
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                     fixed ? std::chars_format::fixed : std::chars_format::scientific);
  return {buffer.data(), written.ptr};
}

}  // namespace

std::optional<int64_t> ParseInt(std::string_view text) {
  text = WithoutPlus(text);
  int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<double> ParseDouble(std::string_view text) {
  text = WithoutPlus(text);
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<int64_t> Truncate(double number) {
  if (!(number > -kTwo63 - 1 && number < kTwo63)) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::string FormatPlain(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
  return Shortest(number, 1e-4, 1e21);
}

std::string FormatGeneral(double number) {
  return std::isfinite(number) ? Shortest(number, 1e-4, 1e6) : FormatPlain(number);
}

std::string FormatSeconds(int64_t nanoseconds) {
  return Shortest(static_cast<double>(nanoseconds) / 1e9, 0, 1e21) + "s";
}

std::string FormatJson(double number) {
  std::string text = Shortest(number, 1e-6, 1e21);
  // Go drops the zero of an exponent of one digit.
  const size_t exponent = text.find("e-0");
  if (exponent != std::string::npos) text.erase(exponent + 2, 1);
  return text;
}

int CompareNumbers(int64_t a, double b) {
  if (std::isnan(b)) return 2;
  if (b >= kTwo63) return -1;
  if (b < -kTwo63) return 1;
  const auto whole = static_cast<int64_t>(b);
  if (a != whole) return a < whole ? -1 : 1;
  const double rest = b - static_cast<double>(whole);
  return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

}  // namespace bulkhead::expr

#include "policy/rules.h"

#include <array>
#include <chrono>

namespace bulkhead::policy {

std::string_view OpName(Op op) {
  constexpr std::array<std::string_view, 3> kNames = {"add", "change", "remove"};
  return kNames[static_cast<size_t>(op)];
}

std::string_view ModeName(Mode mode) {
  constexpr std::array<std::string_view, 3> kNames = {"enforce", "warn", "audit"};
  return kNames[static_cast<size_t>(mode)];
}

std::string_view OnDenyName(OnDeny on_deny) {
  constexpr std::array<std::string_view, 3> kNames = {"drop-reply", "fail-node", "fail-workflow"};
  return kNames[static_cast<size_t>(on_deny)];
}

std::optional<Date> Date::Parse(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  std::array<int, 3> parts = {};
  size_t part = 0;
  for (const char c : text) {
    if (c == '-') {
      if (++part >= parts.size()) return std::nullopt;
    } else if (c < '0' || c > '9') {
      return std::nullopt;
    } else {
      parts[part] = parts[part] * 10 + (c - '0');
    }
  }
  const std::chrono::year_month_day day{std::chrono::year(parts[0]),
                                        std::chrono::month(static_cast<unsigned>(parts[1])),
                                        std::chrono::day(static_cast<unsigned>(parts[2]))};
  if (!day.ok()) return std::nullopt;
  Date date;
  date.text = text;
  const std::chrono::sys_days after = std::chrono::sys_days(day) + std::chrono::days(1);
  date.ends = std::chrono::duration_cast<std::chrono::seconds>(after.time_since_epoch()).count();
  return date;
}

bool GlobMatches(std::string_view glob, std::string_view text) {
  // Greedy with one point to go back to: linear in practice, quadratic at worst, never exponential.
  size_t g = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t mark = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      mark = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

}  // namespace bulkhead::policy

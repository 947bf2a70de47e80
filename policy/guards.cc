#include "policy/guards.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace bulkhead::policy {

namespace {

// workflow/common/common.go and util/template/placeholder.go: values that change what the controller does.
constexpr std::array<std::string_view, 2> kMarkers = {"__argo-internal.", "__argo__internal__"};

constexpr std::array<std::string_view, 7> kPhases = {"Pending", "Running", "Succeeded", "Skipped",
                                                     "Failed",  "Error",   "Omitted"};

constexpr std::string_view kTemplateHarm = "holds {{ or }}, which Argo would expand as a template";
constexpr std::string_view kControlHarm = "holds control, bidirectional or invisible characters";

enum class RuneKind : uint8_t { kPlain, kTextOnly, kControl, kBrace };

// What a rune outside ASCII is. Beside what a terminal obeys: what nobody sees, and what looks like a brace.
RuneKind KindOf(uint32_t rune) {
  if (rune < 0xA0) return RuneKind::kControl;                                 // C1
  if (rune == 0x200C || rune == 0x200D) return RuneKind::kTextOnly;           // joiners: in emoji and some scripts
  if (rune == 0xFF5B || rune == 0xFF5D) return RuneKind::kBrace;              // full width
  const bool control = rune == 0x00AD || rune == 0x061C || rune == 0x180E ||  // soft hyphen, marks of direction
                       (rune >= 0x200B && rune <= 0x200F) || (rune >= 0x2028 && rune <= 0x202E) ||
                       (rune >= 0x2060 && rune <= 0x206F) || rune == 0xFEFF || (rune >= 0xFFF9 && rune <= 0xFFFB) ||
                       (rune >= 0xE0000 && rune <= 0xE007F);
  return control ? RuneKind::kControl : RuneKind::kPlain;
}

// The rune at the start of valid UTF-8, removed from it.
uint32_t TakeRune(std::string_view& text) {
  const auto byte = [&](size_t i) -> uint32_t { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0U; };
  const uint32_t first = byte(0);
  const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  uint32_t rune = length == 1 ? first : first & (0x7FU >> length);
  for (size_t i = 1; i < length; ++i) rune = rune << 6U | (byte(i) & 0x3FU);
  text.remove_prefix(std::min(length, text.size()));
  return rune;
}

// A byte that asks for a closer look: controls, DEL, braces, everything outside ASCII.
constexpr std::array<bool, 256> kSuspicious = [] {
  std::array<bool, 256> suspicious = {};
  for (size_t c = 0; c < 256; ++c) suspicious[c] = c < 0x20 || c >= 0x7F || c == '{' || c == '}';
  return suspicious;
}();

void InspectSuspicious(std::string_view text, TextFindings& findings) {
  bool after_wide_brace = false;
  while (!text.empty()) {
    const auto byte = static_cast<uint8_t>(text.front());
    if (byte < 0x80) {
      after_wide_brace = false;
      if (byte == '\n' || byte == '\t') {
        findings.text_only = true;
      } else if (byte < 0x20 || byte == 0x7F) {
        findings.harm = kControlHarm;
      } else if (text.starts_with("{{") || text.starts_with("}}")) {
        findings.harm = kTemplateHarm;
        return;
      }
      text.remove_prefix(1);
      continue;
    }
    const RuneKind kind = KindOf(TakeRune(text));
    if (kind == RuneKind::kTextOnly) findings.text_only = true;
    if (kind == RuneKind::kControl) findings.harm = kControlHarm;
    if (kind == RuneKind::kBrace && after_wide_brace) findings.harm = "holds look-alikes of {{ or }}";
    after_wide_brace = kind == RuneKind::kBrace;
  }
}

}  // namespace

TextFindings InspectText(std::string_view text) {
  TextFindings findings;
  const auto suspicious =
      std::find_if(text.begin(), text.end(), [](char c) { return kSuspicious[static_cast<uint8_t>(c)]; });
  if (suspicious != text.end())
    InspectSuspicious(text.substr(static_cast<size_t>(suspicious - text.begin())), findings);
  if (findings.harm.empty() && text.size() >= kMarkers[0].size()) {
    for (const std::string_view marker : kMarkers) {
      if (text.find(marker) != std::string_view::npos) findings.harm = "holds a marker that Argo uses internally";
    }
  }
  return findings;
}

TextFindings InspectValue(const JsonNode& value, size_t& longest) {
  TextFindings all;
  const auto take = [&](std::string_view text) {
    const TextFindings found = InspectText(text);
    longest = std::max(longest, text.size());
    if (all.harm.empty()) all.harm = found.harm;
    all.text_only |= found.text_only;
  };
  const JsonNode* const end = value.Next();
  for (const JsonNode* node = &value; node != end; ++node) {
    if (node->is_string()) take(node->text);
    if (node != &value && node->has_key) take(node->key);
  }
  return all;
}

bool IsHarmlessText(std::string_view text, bool lines) {
  TextFindings findings;
  InspectSuspicious(text, findings);
  return findings.harm.empty() || findings.harm == kTemplateHarm ? lines || !findings.text_only : false;
}

bool IsVariableName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

bool IsFinished(std::string_view phase) {
  return phase == "Succeeded" || phase == "Failed" || phase == "Error" || NeedsNaming(phase);
}

bool NeedsNaming(std::string_view phase) {
  return phase == "Skipped" || phase == "Omitted";
}

std::string_view BadTransition(std::string_view before, std::string_view after) {
  if (std::find(kPhases.begin(), kPhases.end(), after) == kPhases.end())
    return "is no phase of Argo: Pending, Running, Succeeded, Failed or Error";
  if (IsFinished(before)) return "a node that has ended stays as it is";
  if (before == "Running" && after == "Pending") return "a running node does not become Pending again";
  return {};
}

}  // namespace bulkhead::policy

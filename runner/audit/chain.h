// How one record becomes a line, and how a line proves the one before. See FORMAT.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::audit {

inline constexpr size_t kHashDigits = 64;
// `prev` of a log's first record.
std::string FirstPrev();

// Appends the whole line, with its newline, and sets `prev` to its hash. `fields` is the text of the
// event's own members, without braces.
void AppendLine(uint64_t seq, std::string_view time, std::string_view event, std::string_view fields, std::string& prev,
                std::string& out);

// What a reader needs of a line (without its newline); the reason when it is not a whole, unaltered one.
struct ReadLine {
  uint64_t seq = 0;
  std::string time, prev, hash;
};
std::optional<ReadLine> ParseLine(std::string_view line, std::string& reason);

}  // namespace bulkhead::audit

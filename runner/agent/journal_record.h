// The records of the journal, as JOURNAL_FORMAT.md states them. Internal to Journal.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "runner/base/value.h"

namespace bulkhead::agent {

inline constexpr int kJournalVersion = 1;

// A record with its checksum and line feed.
std::string JournalLine(std::string_view record);
// The record of a line without its line feed, or nullopt when the line is not what was written.
std::optional<std::string_view> VerifiedRecord(std::string_view line);

std::string JournalHeader();
std::string StartRecord(std::string_view key, uint64_t step, int attempt);
// `node`: JSON.
std::string InterimRecord(std::string_view key, uint64_t step, int64_t due_ms, int64_t wait_ms, std::string_view node);
// `result`: JSON.
std::string FinalRecord(std::string_view key, std::string_view result);
// "delivered", "retire" and "forget"; only "retire" has a generation, and never 0.
std::string KeysRecord(std::string_view op, std::span<const std::string> keys, int generation = 0);

// Members of a record that was read; 0 and "" when they are not there.
int64_t NumberOf(const Value& record, std::string_view key);
std::string TextOf(const Value& record, std::string_view key);

}  // namespace bulkhead::agent

#include "runner/agent/journal_record.h"

#include <array>
#include <charconv>
#include <cstdio>

#include "runner/base/json.h"

namespace bulkhead::agent {

namespace {

constexpr size_t kChecksumDigits = 8;
constexpr auto kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
    table[i] = crc;
  }
  return table;
}();

// CRC-32C (RFC 3720, appendix B.4).
uint32_t Checksum(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFU;
  for (const char c : bytes) crc = (crc >> 8U) ^ kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFFU];
  return ~crc;
}

std::string Digits(std::string_view record) {
  std::array<char, kChecksumDigits + 1> digits{};
  std::snprintf(digits.data(), digits.size(), "%08x", Checksum(record));
  return std::string(digits.data(), kChecksumDigits);
}

std::string Begin(std::string_view op, std::string_view key) {
  std::string record = "{\"op\":\"";
  record += op;
  record += "\",\"key\":";
  AppendJsonString(key, record);
  return record;
}

}  // namespace

std::string JournalLine(std::string_view record) {
  std::string line = Digits(record);
  line += ' ';
  line += record;
  line += '\n';
  return line;
}

std::optional<std::string_view> VerifiedRecord(std::string_view line) {
  if (line.size() <= kChecksumDigits || line[kChecksumDigits] != ' ') return std::nullopt;
  const std::string_view record = line.substr(kChecksumDigits + 1);
  if (Digits(record) != line.substr(0, kChecksumDigits)) return std::nullopt;
  return record;
}

std::string StartRecord(std::string_view key, uint64_t step, int attempt) {
  return Begin("start", key) + ",\"step\":" + std::to_string(step) + ",\"attempt\":" + std::to_string(attempt) + "}";
}

std::string InterimRecord(std::string_view key, uint64_t step, int64_t due_ms, int64_t wait_ms, std::string_view node) {
  std::string record = Begin("interim", key) + ",\"step\":" + std::to_string(step) +
                       ",\"due\":" + std::to_string(due_ms) + ",\"wait\":" + std::to_string(wait_ms) + ",\"node\":";
  record += node;
  return record + "}";
}

std::string FinalRecord(std::string_view key, std::string_view result) {
  std::string record = Begin("final", key) + ",\"result\":";
  record += result;
  return record + "}";
}

std::string KeysRecord(std::string_view op, std::span<const std::string> keys, int generation) {
  std::string record = "{\"op\":\"" + std::string(op) + "\",";
  if (generation != 0) record += "\"generation\":" + std::to_string(generation) + ",";
  record += "\"keys\":[";
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) record += ',';
    AppendJsonString(keys[i], record);
  }
  return record + "]}";
}

std::string JournalHeader() {
  return "{\"op\":\"journal\",\"version\":" + std::to_string(kJournalVersion) + "}";
}

int64_t NumberOf(const Value& record, std::string_view key) {
  const Value* const value = record.Find(key);
  int64_t number = 0;
  if (value != nullptr && value->is_number())
    std::from_chars(value->text.data(), value->text.data() + value->text.size(), number);
  return number;
}

std::string TextOf(const Value& record, std::string_view key) {
  const Value* const value = record.Find(key);
  return value != nullptr && value->is_string() ? value->text : "";
}

}  // namespace bulkhead::agent

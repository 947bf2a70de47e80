#include "runner/audit/chain.h"

#include <charconv>

#include "runner/base/json.h"
#include "runner/base/text.h"

namespace bulkhead::audit {

namespace {

constexpr std::string_view kHashMember = ",\"hash\":\"";
constexpr size_t kTailSize = kHashMember.size() + kHashDigits + 2;  // and "}

}  // namespace

std::string FirstPrev() {
  return std::string(kHashDigits, '0');
}

void AppendLine(uint64_t seq, std::string_view time, std::string_view event, std::string_view fields, std::string& prev,
                std::string& out) {
  const size_t begin = out.size();
  out += "{\"seq\":";
  out += std::to_string(seq);
  out += ",\"time\":\"";
  out += time;
  out += "\",\"event\":\"";
  out += event;
  out += '"';
  if (!fields.empty()) {
    out += ',';
    out += fields;
  }
  out += ",\"prev\":\"";
  out += prev;
  out += '"';
  prev = Sha256Hex(std::string_view(out).substr(begin));
  out += kHashMember;
  out += prev;
  out += "\"}\n";
}

std::optional<ReadLine> ParseLine(std::string_view line, std::string& reason) {
  if (line.size() <= kTailSize || line.substr(line.size() - kTailSize, kHashMember.size()) != kHashMember ||
      !line.ends_with("\"}")) {
    reason = "no record: it does not end in a hash";
    return std::nullopt;
  }
  const std::string_view hashed = line.substr(0, line.size() - kTailSize);
  ReadLine read;
  read.hash = std::string(line.substr(line.size() - 2 - kHashDigits, kHashDigits));
  if (Sha256Hex(hashed) != read.hash) {
    reason = "the record was altered: its hash does not fit its content";
    return std::nullopt;
  }
  const JsonParse parsed = ParseJson(line, {.bytes = line.size()});
  const Value* const seq = parsed.value.Find("seq");
  const Value* const time = parsed.value.Find("time");
  const Value* const prev = parsed.value.Find("prev");
  if (!parsed.ok || seq == nullptr || !seq->is_number() || time == nullptr || !time->is_string() || prev == nullptr ||
      !prev->is_string()) {
    reason = "no record: seq, time or prev is missing, or it is no JSON";
    return std::nullopt;
  }
  const char* const end = seq->text.data() + seq->text.size();
  if (const auto number = std::from_chars(seq->text.data(), end, read.seq);
      number.ec != std::errc() || number.ptr != end) {
    reason = "seq is no count";
    return std::nullopt;
  }
  read.time = time->text;
  read.prev = prev->text;
  return read;
}

}  // namespace bulkhead::audit

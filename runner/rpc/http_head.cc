#include "runner/rpc/http_head.h"

#include <algorithm>

#include "runner/rpc/http_text.h"

namespace bulkhead::rpc {

HeadPart TakeHead(std::string_view bytes, const HeadFormat& format, std::string& head) {
  const std::string message(format.message);
  const size_t before = head.size();
  const size_t room = format.bytes - before;
  head.append(bytes.substr(0, room));
  const size_t end = head.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  // Told at once: with lines that end otherwise, no end of the head would ever come.
  for (size_t at = head.find('\n', before); at < end; at = head.find('\n', at + 1)) {
    if (at == 0 || head[at - 1] != '\r')
      return {bytes.size(), false, HeadFault{400, "a line of the " + message + "'s header does not end in CRLF"}};
  }
  if (end != std::string::npos) {
    head.resize(end);
    return {end + 4 - before, true, std::nullopt};
  }
  const size_t taken = std::min(room, bytes.size());
  if (head.size() < format.bytes) return {taken, false, std::nullopt};
  return {taken, false,
          HeadFault{431, "the " + message + "'s header is larger than " + std::to_string(format.bytes) + " bytes"}};
}

std::optional<std::string_view> HeadLines::Next() {
  if (fault_.has_value() || (lines_ > 0 && rest_.empty())) return std::nullopt;
  const size_t end = rest_.find("\r\n");
  const std::string_view line = rest_.substr(0, end);
  rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 2);
  if (!std::all_of(line.begin(), line.end(), IsTextChar)) {
    fault_ = {400, "a control character in the " + std::string(format_.message) + "'s header"};
    return std::nullopt;
  }
  // The start line is no field.
  if (lines_++ > format_.fields) {
    fault_ = {431,
              "more than " + std::to_string(format_.fields) + " header fields in the " + std::string(format_.message)};
    return std::nullopt;
  }
  return line;
}

std::optional<HeadField> SplitField(std::string_view line) {
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || !IsToken(name)) return std::nullopt;
  return HeadField{name, Trim(line.substr(colon + 1))};
}

std::optional<size_t> ReadContentLength(std::string_view value) {
  constexpr size_t kMostDigits = 18;
  if (value.empty() || value.size() > kMostDigits || !std::all_of(value.begin(), value.end(), IsDigit))
    return std::nullopt;
  size_t length = 0;
  for (const char c : value) length = length * 10 + static_cast<size_t>(c - '0');
  return length;
}

void Persistence::Add(std::string_view value) {
  close_ = close_ || ListContains(value, "close");
  keep_alive_ = keep_alive_ || ListContains(value, "keep-alive");
}

}  // namespace bulkhead::rpc

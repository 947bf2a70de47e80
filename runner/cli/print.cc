#include "runner/cli/print.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "runner/base/io.h"
#include "runner/base/text.h"

namespace bulkhead::cli {

namespace {

// Columns on a terminal: code points. Wide and combining characters are rare in these tables, and a cell
// that is off by one harms nothing.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0U) != 0x80U; }));
}

std::string Cut(std::string_view text, size_t columns) {
  if (Width(text) <= columns) return std::string(text);
  size_t end = 0;
  for (size_t seen = 0; end < text.size(); ++end) {
    if ((static_cast<uint8_t>(text[end]) & 0xC0U) == 0x80U) continue;
    if (seen++ + 1 >= columns) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string Padded(std::string_view text, size_t columns, bool right) {
  const size_t width = Width(text);
  const std::string space(columns > width ? columns - width : 0, ' ');
  return right ? space + std::string(text) : std::string(text) + space;
}

}  // namespace

bool IsTerminal(int fd) {
  return ::isatty(fd) == 1;
}

size_t TerminalWidth() {
  winsize size = {};
  if (!IsTerminal(STDOUT_FILENO) || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
  return size.ws_col;
}

bool UseColour() {
  const char* const no_colour = std::getenv("NO_COLOR");
  return IsTerminal(STDOUT_FILENO) && (no_colour == nullptr || *no_colour == '\0');
}

std::string Coloured(std::string_view text, Tone tone) {
  if (tone == Tone::kPlain || !UseColour()) return std::string(text);
  const std::string_view code = tone == Tone::kGood ? "\x1b[32m" : tone == Tone::kBad ? "\x1b[31m" : "\x1b[2m";
  return std::string(code) + std::string(text) + "\x1b[0m";
}

std::string Table(const std::vector<std::string>& header, const std::vector<std::vector<Cell>>& rows) {
  std::vector<size_t> widths;
  widths.reserve(header.size());
  for (const std::string& title : header) widths.push_back(Width(title));
  std::vector<std::vector<Cell>> escaped = rows;
  for (auto& row : escaped) {
    for (size_t column = 0; column < row.size(); ++column) {
      row[column].text = EscapeForTerminal(row[column].text);
      widths[column] = std::max(widths[column], Width(row[column].text));
    }
  }
  size_t before_last = 0;
  for (size_t column = 0; column + 1 < widths.size(); ++column) before_last += widths[column] + 2;
  const size_t terminal = TerminalWidth();
  const size_t room = terminal > before_last + 20 ? terminal - before_last : 0;

  std::string out;
  for (size_t column = 0; column < header.size(); ++column) {
    const bool last = column + 1 == header.size();
    const bool right = !rows.empty() && rows.front()[column].right;
    out += Coloured(last ? header[column] : Padded(header[column], widths[column], right) + "  ", Tone::kDim);
  }
  out += "\n";
  for (const auto& row : escaped) {
    for (size_t column = 0; column < row.size(); ++column) {
      const Cell& cell = row[column];
      if (column + 1 == row.size()) {
        out += Coloured(room > 0 ? Cut(cell.text, room) : cell.text, cell.tone);
      } else {
        out += Coloured(Padded(cell.text, widths[column], cell.right), cell.tone) + "  ";
      }
    }
    out += "\n";
  }
  return out;
}

void Print(std::string_view text) {
  // A closed pipe ends the output, not the run: the exit code still tells.
  static_cast<void>(WriteAll(STDOUT_FILENO, text).ok());
}

void PrintError(std::string_view line) {
  static_cast<void>(WriteAll(STDERR_FILENO, std::string(line) + "\n").ok());
}

void PrintDocument(const Value& value, Format format) {
  Print(format == Format::kYaml ? ToYaml(value) : ToPrettyJson(value) + "\n");
}

}  // namespace bulkhead::cli

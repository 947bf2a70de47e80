// What people see: tables that fit the terminal, colour only there, and documents for machines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runner/base/value.h"

namespace bulkhead::cli {

enum class Format { kTable, kJson, kYaml };

bool IsTerminal(int fd);
// The terminal's width in columns; 0 when standard output is none.
size_t TerminalWidth();
// Colour: standard output is a terminal and NO_COLOR (https://no-color.org) is not set.
bool UseColour();

enum class Tone { kPlain, kGood, kBad, kDim };
std::string Coloured(std::string_view text, Tone tone);

struct Cell {
  std::string text;  // escaped by the table
  Tone tone = Tone::kPlain;
  bool right = false;
};

// Columns as wide as their widest cell; on a terminal the last one is cut to fit, with "…".
std::string Table(const std::vector<std::string>& header, const std::vector<std::vector<Cell>>& rows);

void Print(std::string_view text);       // standard output
void PrintError(std::string_view line);  // standard error, with a newline
void PrintDocument(const Value& value, Format format);

}  // namespace bulkhead::cli

// Options that several verbs share, with the same names and words.
#pragma once

#include <map>
#include <string>

#include "runner/cli/command.h"
#include "runner/cli/print.h"

namespace bulkhead::cli {

inline const std::map<std::string, Format>& FormatNames() {
  static const std::map<std::string, Format> names = {
      {"table", Format::kTable}, {"json", Format::kJson}, {"yaml", Format::kYaml}};
  return names;
}

inline void AddOutput(CLI::App& verb, Format& format) {
  verb.add_option("-o,--output", format, "table (for people), json or yaml (for machines)")
      ->transform(CLI::CheckedTransformer(FormatNames()))
      ->option_text("table|json|yaml");
}

}  // namespace bulkhead::cli

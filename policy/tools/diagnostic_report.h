// Diagnostics for whoever reads them: people, scripts, GitHub's annotations, code scanning (SARIF 2.1.0).
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "policy/diagnostic.h"

namespace bulkhead::policy::tools {

enum class DiagnosticFormat { kPretty, kJson, kGithub, kSarif };

// File to its text, for caret lines.
using Sources = std::map<std::string, std::string, std::less<>>;

// In the order given. Pretty output ends with a line that counts them, unless there are none; everything is fit for a
// terminal.
std::string RenderAll(std::span<const Diagnostic> diagnostics, const Sources& sources, DiagnosticFormat format);

// What a workflow command of GitHub Actions may hold: as data, or as a property.
std::string GithubData(std::string_view text);
std::string GithubProperty(std::string_view text);

}  // namespace bulkhead::policy::tools

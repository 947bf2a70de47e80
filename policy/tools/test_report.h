// Test results for people (pretty), scripts (json), and the readers of build systems (JUnit XML, TAP 13, GitHub).
#pragma once

#include <span>
#include <string>

#include "policy/tools/test_run.h"

namespace bulkhead::policy::tools {

enum class TestFormat { kPretty, kJson, kJunit, kTap, kGithub };

// `verbose`: pretty output also lists what passed.
std::string RenderTests(std::span<const SuiteResult> suites, TestFormat format, bool verbose);

}  // namespace bulkhead::policy::tools

// A strict YAML reader on libyaml's events, for policies and manifests.
//
// Scalars follow the YAML 1.2 core schema; a plain scalar that YAML 1.1 reads otherwise (yes, no, on,
// off, 010, 1:30, 2026-01-01 and their like) is refused with "quote it", since Argo's and Kubernetes'
// readers would see another value. Also refused: duplicate keys, anchors, aliases, merge keys, tags,
// keys that are not strings, invalid UTF-8, a depth or size over the limits. JSON is accepted (it is
// YAML). Every diagnostic begins "file:line:column: ".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runner/base/diagnostic.h"
#include "runner/base/result.h"
#include "runner/base/value.h"

namespace bulkhead {

struct YamlLimits {
  size_t bytes = 16U << 20U;
  size_t depth = 64;
  size_t values = 1'000'000;
};

// All documents of the stream; an empty document is a null Value. `file` is used in diagnostics only. An error has a
// line for each thing that is wrong.
Result<std::vector<Value>> ParseYaml(std::string_view text, std::string_view file, const YamlLimits& limits = {});

// The same for readers that go on to tell what else is wrong: everything that is refused goes to `diagnostics`, with
// ids E000 (not YAML, or over a limit: reading ends there), E001 (duplicate key), E002 (anchor, alias, merge key, tag),
// E004 (ambiguous scalar), E005 (not UTF-8), E009 (a key that is no string). What could be read is returned: a refused
// scalar as a string, an alias as null, without second values of a key.
std::vector<Value> ParseYaml(std::string_view text, Diagnostics& diagnostics, const YamlLimits& limits = {});

// "file:line:column"; without line and column when at.line is 0.
std::string Place(std::string_view file, Position at);

}  // namespace bulkhead

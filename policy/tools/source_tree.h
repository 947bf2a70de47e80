// A YAML file as its author wrote it: the tree with comments, blank lines, quoting and flow or block style, for the
// formatter. Values are kept as their source text; what they mean is runner/base/yaml's business.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/result.h"

namespace bulkhead::policy::tools {

struct Comment {
  std::string text;           // "# ...", without trailing blanks
  bool blank_before = false;  // an empty line stands above it
};

struct SourceEntry;

struct SourceNode {
  enum class Kind { kScalar, kSequence, kMapping };
  Kind kind = Kind::kScalar;
  bool flow = false;              // a collection in [] or {}
  bool has_comments = false;      // a flow collection with a comment inside: it can't stay on one line
  std::string text;               // kScalar: one line of source, or the header of a block scalar ("|-")
  std::vector<std::string> body;  // the lines of a block scalar, without their common indentation
  std::vector<std::unique_ptr<SourceEntry>> entries;
  std::vector<Comment> foot;  // own-line comments behind the last entry
};

// One member of a mapping or one item of a sequence.
struct SourceEntry {
  std::vector<Comment> lead;  // own-line comments above it
  bool blank_before = false;  // an empty line stands above it, below its comments
  std::string key;            // source text; empty in a sequence
  SourceNode value;
  std::vector<std::string> trail;  // comments at the end of its line
};

struct SourceDocument {
  std::unique_ptr<SourceEntry> root;  // an entry without a key
  std::vector<Comment> foot;          // comments of a document that holds nothing else, or behind its end
};

// `text` must have been accepted by ParseYaml. The error names a construct that the formatter does not rewrite
// (directives).
Result<std::vector<SourceDocument>> ReadSource(std::string_view text, std::string_view file);

// A double-quoted YAML scalar with this value, on one line.
std::string QuoteScalar(std::string_view value);

}  // namespace bulkhead::policy::tools

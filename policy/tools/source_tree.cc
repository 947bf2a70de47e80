#include "policy/tools/source_tree.h"

#include <yaml.h>

#include <algorithm>

#include "runner/base/yaml.h"

namespace bulkhead::policy::tools {

namespace {

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string TrimmedRight(std::string_view text) {
  const size_t end = text.find_last_not_of(" \t\r\n");
  return std::string(text.substr(0, end == std::string_view::npos ? 0 : end + 1));
}

// The byte at which each line begins, and the byte of each character: libyaml's marks count characters.
class Offsets {
 public:
  explicit Offsets(std::string_view text) : text_(text) {
    lines_.push_back(0);
    for (size_t i = 0; i < text.size(); ++i) {
      if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) characters_.push_back(i);
      if (text[i] == '\n') lines_.push_back(i + 1);
    }
  }
  size_t Byte(const yaml_mark_t& mark) const {
    return mark.index < characters_.size() ? characters_[mark.index] : text_.size();
  }
  size_t LineOf(size_t byte) const {
    return static_cast<size_t>(std::upper_bound(lines_.begin(), lines_.end(), byte) - lines_.begin()) - 1;
  }
  size_t ColumnOf(size_t byte) const { return byte - lines_[LineOf(byte)]; }
  bool BlankAbove(size_t byte) const {
    const size_t line = LineOf(byte);
    return line > 0 && IsBlank(text_.substr(lines_[line - 1], lines_[line] - 1 - lines_[line - 1]));
  }

 private:
  const std::string_view text_;
  std::vector<size_t> lines_;
  std::vector<size_t> characters_;
};

class Reader {
 public:
  Reader(std::string_view text, std::string_view file) : text_(text), file_(file), offsets_(text) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
  }
  ~Reader() {
    if (have_event_) yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Result<std::vector<SourceDocument>> Run() {
    std::vector<SourceDocument> documents;
    for (;;) {
      BULKHEAD_TRY(Next());
      switch (event_.type) {
        case YAML_STREAM_END_EVENT:
          if (!pending_.empty() && documents.empty()) documents.emplace_back();
          if (!documents.empty()) TakePending(documents.back().foot);
          return documents;
        case YAML_DOCUMENT_START_EVENT: {
          if (event_.data.document_start.version_directive != nullptr)
            return Error(Code::kInvalidInput, std::string(file_) + ": %YAML directives are not rewritten; remove it");
          SourceDocument& document = documents.emplace_back();
          last_ = nullptr;
          BULKHEAD_TRY(Next());
          document.root = std::make_unique<SourceEntry>();
          BULKHEAD_TRY(ReadNode(*document.root, 0, true));
          break;
        }
        default: break;
      }
    }
  }

 private:
  struct Pending {
    Comment comment;
    size_t column;
  };

  size_t Start() const { return offsets_.Byte(event_.start_mark); }

  // Reads one event and the comments in front of it.
  Status Next() {
    if (have_event_) yaml_event_delete(&event_);
    have_event_ = false;
    if (yaml_parser_parse(&parser_, &event_) == 0)
      return Error(Code::kInvalidInput, std::string(file_) + ": not YAML, though it was read before");
    have_event_ = true;
    const size_t start = Start();
    const size_t last_line = offsets_.LineOf(gap_);
    for (size_t at = gap_; at < start;) {
      const size_t hash = text_.find('#', at);
      if (hash == std::string_view::npos || hash >= start) break;
      const size_t end = std::min(text_.find('\n', hash), text_.size());
      AddComment(hash, TrimmedRight(text_.substr(hash, end - hash)), offsets_.LineOf(hash) == last_line);
      at = end;
    }
    gap_ = std::max(gap_, std::max(start, offsets_.Byte(event_.end_mark)));
    return OkStatus();
  }

  // `same_line`: as what was read last.
  void AddComment(size_t at, std::string comment, bool same_line) {
    const size_t column = offsets_.ColumnOf(at);
    const bool own_line = IsBlank(text_.substr(at - column, column));
    for (SourceNode* flow : open_flows_) flow->has_comments = true;
    if (!own_line && same_line && last_ != nullptr) {
      last_->trail.push_back(std::move(comment));
    } else {
      pending_.push_back({{std::move(comment), own_line && offsets_.BlankAbove(at)}, column});
    }
  }

  void TakePending(std::vector<Comment>& to, size_t least_column = 0) {
    size_t taken = 0;
    while (taken < pending_.size() && pending_[taken].column >= least_column)
      to.push_back(std::move(pending_[taken++].comment));
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(taken));
  }

  void Begin(SourceEntry& entry) {
    const bool commented = !pending_.empty();
    TakePending(entry.lead);
    entry.blank_before = offsets_.BlankAbove(Start());
    if (commented && entry.lead.empty()) entry.blank_before = false;
  }

  // The event at hand begins the node of `entry`. `column`: of the key that it belongs to.
  Status ReadNode(SourceEntry& entry, size_t column, bool root = false) {
    SourceNode& node = entry.value;
    switch (event_.type) {
      case YAML_SCALAR_EVENT:
        if (root) Begin(entry);
        if (!pending_.empty()) TakePending(entry.lead);
        ReadScalar(node);
        TakeHeaderComment(entry);
        last_ = &entry;
        return OkStatus();
      case YAML_SEQUENCE_START_EVENT:
        node.kind = SourceNode::Kind::kSequence;
        node.flow = event_.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        break;
      case YAML_MAPPING_START_EVENT:
        node.kind = SourceNode::Kind::kMapping;
        node.flow = event_.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        break;
      default: return Error(Code::kInvalidInput, std::string(file_) + ": not YAML, though it was read before");
    }
    if (node.flow) {
      last_ = &entry;
      open_flows_.push_back(&node);
    }
    const size_t own_column = offsets_.ColumnOf(Start());
    BULKHEAD_TRY(ReadEntries(node, own_column));
    if (node.flow) {
      TakePending(node.foot);
      open_flows_.pop_back();
      last_ = &entry;
    } else {
      // A sequence may stand at the column of its key; what follows at that column is the key's neighbour.
      TakePending(node.foot, own_column == column && !root ? own_column + 1 : own_column);
    }
    return OkStatus();
  }

  Status ReadEntries(SourceNode& node, size_t column) {
    const bool mapping = node.kind == SourceNode::Kind::kMapping;
    for (;;) {
      BULKHEAD_TRY(Next());
      if (event_.type == YAML_MAPPING_END_EVENT || event_.type == YAML_SEQUENCE_END_EVENT) return OkStatus();
      SourceEntry& entry = *node.entries.emplace_back(std::make_unique<SourceEntry>());
      Begin(entry);
      if (mapping) {
        const size_t key_column = offsets_.ColumnOf(Start());
        SourceNode key;
        ReadScalar(key);
        entry.key = key.body.empty() ? key.text : QuoteScalar(ScalarValue());
        last_ = &entry;
        BULKHEAD_TRY(Next());
        BULKHEAD_TRY(ReadNode(entry, key_column));
      } else {
        BULKHEAD_TRY(ReadNode(entry, column));
      }
    }
  }

  // "|-  # comment": to libyaml the line's end is part of the scalar.
  void TakeHeaderComment(SourceEntry& entry) {
    if (event_.data.scalar.style != YAML_LITERAL_SCALAR_STYLE && event_.data.scalar.style != YAML_FOLDED_SCALAR_STYLE)
      return;
    const size_t begin = Start();
    const size_t end = std::min(text_.find('\n', begin), text_.size());
    const size_t hash = text_.substr(0, end).find('#', begin);
    if (hash != std::string_view::npos) entry.trail.push_back(TrimmedRight(text_.substr(hash, end - hash)));
  }

  std::string_view ScalarValue() const {
    return {reinterpret_cast<const char*>(event_.data.scalar.value), event_.data.scalar.length};
  }

  void ReadScalar(SourceNode& node) const {
    const size_t begin = Start();
    const std::string_view source = text_.substr(begin, offsets_.Byte(event_.end_mark) - begin);
    const yaml_scalar_style_t style = event_.data.scalar.style;
    const bool block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    if (!block) {
      const bool one_line = source.find('\n') == std::string_view::npos;
      node.text = one_line ? TrimmedRight(source) : QuoteScalar(ScalarValue());
      return;
    }
    const size_t end_of_header = std::min(source.find('\n'), source.size());
    const std::string_view header = source.substr(0, std::min(source.find_first_of(" \t#\n"), end_of_header));
    if (header.find_first_of("0123456789+") != std::string_view::npos || !ReadBody(source, end_of_header, node)) {
      node.text = QuoteScalar(ScalarValue());
      node.body.clear();
      return;
    }
    node.text = std::string(header);
  }

  // Whether the lines of a block scalar could be taken: their indentation is the first line's.
  static bool ReadBody(std::string_view source, size_t at, SourceNode& node) {
    std::vector<std::string> lines;
    while (at < source.size()) {
      const size_t begin = at + 1;
      at = std::min(source.find('\n', begin), source.size());
      if (begin <= source.size()) lines.push_back(TrimmedRight(source.substr(begin, at - begin)));
    }
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    if (lines.empty() || lines.front().empty()) return false;
    const size_t indent = lines.front().find_first_not_of(' ');
    for (std::string& line : lines) {
      if (line.empty()) continue;
      if (line.find_first_not_of(' ') < indent) return false;
      line = line.substr(indent);
    }
    node.body = std::move(lines);
    return true;
  }

  const std::string_view text_;
  const std::string_view file_;
  const Offsets offsets_;
  yaml_parser_t parser_ = {};
  yaml_event_t event_ = {};
  bool have_event_ = false;
  size_t gap_ = 0;                       // where the text behind the last event begins
  SourceEntry* last_ = nullptr;          // what a comment at the end of the line belongs to
  std::vector<Pending> pending_;         // own-line comments that no entry has taken yet
  std::vector<SourceNode*> open_flows_;  // innermost last
};

}  // namespace

std::string QuoteScalar(std::string_view value) {
  std::string out = "\"";
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      constexpr std::string_view kHex = "0123456789abcdef";
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 0xFU];
    } else if (value.substr(i, 2) == "\xC2\x85") {
      out += "\\N";
      i += 1;
    } else if (value.substr(i, 3) == "\xE2\x80\xA8" || value.substr(i, 3) == "\xE2\x80\xA9") {
      out += value[i + 2] == '\xA8' ? "\\L" : "\\P";
      i += 2;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

Result<std::vector<SourceDocument>> ReadSource(std::string_view text, std::string_view file) {
  return Reader(text, file).Run();
}

}  // namespace bulkhead::policy::tools

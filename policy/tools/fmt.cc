#include "policy/tools/fmt.h"

#include <algorithm>
#include <array>
#include <span>

#include "policy/tools/source_tree.h"
#include "runner/base/yaml.h"

namespace bulkhead::policy::tools {

namespace {

constexpr size_t kWidth = 120;

// The order in which people look for the keys of a document and of a rule.
constexpr std::array<std::string_view, 8> kDocumentKeys = {"apiVersion", "kind",    "metadata", "spec",
                                                           "policies",   "require", "context",  "cases"};
constexpr std::array<std::string_view, 14> kRuleKeys = {"id",    "set",    "path",    "op",  "value",   "when", "expr",
                                                        "check", "reason", "expires", "log", "message", "note", "name"};
constexpr std::array<std::string_view, 5> kRuleLists = {"allow", "deny", "require", "checks", "unprotect"};

class Writer {
 public:
  std::string Write(const std::vector<SourceDocument>& documents) {
    for (size_t i = 0; i < documents.size(); ++i) {
      if (i > 0) out_ += "---\n";
      const SourceDocument& document = documents[i];
      if (document.root != nullptr) Root(*document.root);
      Comments(document.foot, 0, /*first=*/document.root == nullptr);
    }
    return std::move(out_);
  }

 private:
  void Root(const SourceEntry& root) {
    Comments(root.lead, 0, true);
    const SourceNode& node = root.value;
    if (node.kind == SourceNode::Kind::kScalar || FitsOnOneLine(node, 0)) {
      out_ += node.kind == SourceNode::Kind::kScalar ? node.text : Flow(node);
      EndLine(root, node.kind == SourceNode::Kind::kScalar ? node.body : std::vector<std::string>(), 0);
      return;
    }
    for (const std::string& comment : root.trail) out_ += comment + "\n";
    Entries(node, 0, kDocumentKeys);
  }

  void Comments(const std::vector<Comment>& comments, size_t indent, bool first) {
    for (const Comment& comment : comments) {
      if (comment.blank_before && !first) out_ += "\n";
      first = false;
      out_ += std::string(indent, ' ') + comment.text + "\n";
    }
  }

  // The comments of the line's end, the line feed, and the lines of a block scalar.
  void EndLine(const SourceEntry& entry, const std::vector<std::string>& body, size_t indent) {
    if (!entry.trail.empty()) out_ += "  " + entry.trail.back();
    out_ += "\n";
    for (const std::string& line : body) out_ += line.empty() ? "\n" : std::string(indent + 2, ' ') + line + "\n";
  }

  static std::string Flow(const SourceNode& node) {
    if (node.kind == SourceNode::Kind::kScalar) return node.text.empty() ? "null" : node.text;
    const bool mapping = node.kind == SourceNode::Kind::kMapping;
    std::string text = mapping ? "{" : "[";
    for (size_t i = 0; i < node.entries.size(); ++i) {
      if (i > 0) text += ", ";
      if (mapping) text += node.entries[i]->key + ": ";
      text += Flow(node.entries[i]->value);
    }
    return text + (mapping ? "}" : "]");
  }

  static bool FitsOnOneLine(const SourceNode& node, size_t column) {
    if (node.kind == SourceNode::Kind::kScalar || !node.flow || node.has_comments) return false;
    return node.entries.empty() || column + Flow(node).size() <= kWidth;
  }

  static std::vector<const SourceEntry*> Ordered(const SourceNode& node, std::span<const std::string_view> order) {
    std::vector<const SourceEntry*> entries;
    bool movable = node.kind == SourceNode::Kind::kMapping;
    for (size_t i = 0; i < node.entries.size(); ++i) {
      entries.push_back(node.entries[i].get());
      // A comment may speak of what stands around it.
      movable = movable && (i == 0 || (node.entries[i]->lead.empty() && !node.entries[i]->blank_before) ||
                            order.data() == kDocumentKeys.data());
    }
    if (movable) {
      const auto rank = [&](const SourceEntry* entry) { return std::find(order.begin(), order.end(), entry->key); };
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const SourceEntry* a, const SourceEntry* b) { return rank(a) < rank(b); });
    }
    return entries;
  }

  // The entries of a collection in block style, each at column `indent`. `compact`: the first one continues a line
  // ("- "), which stands at that column already.
  void Entries(const SourceNode& node, size_t indent, std::span<const std::string_view> order, bool compact = false) {
    const std::vector<const SourceEntry*> entries = Ordered(node, order);
    const bool mapping = node.kind == SourceNode::Kind::kMapping;
    for (size_t i = 0; i < entries.size(); ++i) {
      const SourceEntry& entry = *entries[i];
      const bool first = i == 0;
      if (!(first && compact)) {
        Comments(entry.lead, indent, first);
        if (entry.blank_before && !(first && entry.lead.empty())) out_ += "\n";
        // A line has room for one.
        for (size_t extra = 0; extra + 1 < entry.trail.size(); ++extra)
          out_ += std::string(indent, ' ') + entry.trail[extra] + "\n";
        out_ += std::string(indent, ' ');
      }
      out_ += mapping ? entry.key + ":" : "-";
      const bool rules = mapping && std::find(kRuleLists.begin(), kRuleLists.end(), entry.key) != kRuleLists.end() &&
                         entry.value.kind == SourceNode::Kind::kSequence;
      Value(entry, indent, indent + (mapping ? entry.key.size() + 2 : 2), rules || (!mapping && in_rules_));
    }
    Comments(node.foot, indent, entries.empty());
  }

  void Value(const SourceEntry& entry, size_t indent, size_t column, bool rules) {
    const SourceNode& node = entry.value;
    const bool was_in_rules = in_rules_;
    const std::span<const std::string_view> order = rules && node.kind == SourceNode::Kind::kMapping
                                                        ? std::span<const std::string_view>(kRuleKeys)
                                                        : std::span<const std::string_view>();
    in_rules_ = rules && node.kind == SourceNode::Kind::kSequence;
    if (node.kind == SourceNode::Kind::kScalar) {
      if (!node.text.empty()) out_ += " " + node.text;
      EndLine(entry, node.body, indent);
    } else if (FitsOnOneLine(node, column)) {
      out_ += " " + OrderedFlow(node, order);
      EndLine(entry, {}, indent);
    } else if (entry.key.empty() && entry.trail.empty()) {
      out_ += " ";
      Entries(node, indent + 2, order, /*compact=*/true);
    } else {
      EndLine(entry, {}, indent);
      Entries(node, indent + 2, order);
    }
    in_rules_ = was_in_rules;
  }

  static std::string OrderedFlow(const SourceNode& node, std::span<const std::string_view> order) {
    if (node.kind != SourceNode::Kind::kMapping || order.empty()) return Flow(node);
    std::string text = "{";
    for (const SourceEntry* entry : Ordered(node, order))
      text += (text.size() > 1 ? ", " : "") + entry->key + ": " + Flow(entry->value);
    return text + "}";
  }

  std::string out_;
  bool in_rules_ = false;  // the sequence at hand is a list of rules
};

// The same value, whatever the order of keys and the way of writing.
bool Same(const Value& a, const Value& b) {
  if (a.kind != b.kind || a.text != b.text || a.boolean != b.boolean || a.items.size() != b.items.size() ||
      a.members.size() != b.members.size())
    return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!Same(a.items[i], b.items[i])) return false;
  }
  return std::all_of(a.members.begin(), a.members.end(), [&](const Member& member) {
    const Value* const other = b.Find(member.key);
    return other != nullptr && Same(member.value, *other);
  });
}

void CollectComments(const SourceNode& node, std::vector<std::string>& comments) {
  for (const Comment& comment : node.foot) comments.push_back(comment.text);
  for (const auto& entry : node.entries) {
    for (const Comment& comment : entry->lead) comments.push_back(comment.text);
    comments.insert(comments.end(), entry->trail.begin(), entry->trail.end());
    CollectComments(entry->value, comments);
  }
}

std::vector<std::string> AllComments(const std::vector<SourceDocument>& documents) {
  std::vector<std::string> comments;
  for (const SourceDocument& document : documents) {
    for (const Comment& comment : document.foot) comments.push_back(comment.text);
    if (document.root == nullptr) continue;
    for (const Comment& comment : document.root->lead) comments.push_back(comment.text);
    comments.insert(comments.end(), document.root->trail.begin(), document.root->trail.end());
    CollectComments(document.root->value, comments);
  }
  std::sort(comments.begin(), comments.end());
  return comments;
}

Error Unproven(std::string_view file, std::string_view what) {
  return {Code::kInternal,
          std::string(file) + ": not formatted: the result would " + std::string(what) + "; the file is left as it is"};
}

}  // namespace

Result<std::string> Format(std::string_view text, std::string_view file) {
  BULKHEAD_ASSIGN(const std::vector<Value> before, ParseYaml(text, file));
  BULKHEAD_ASSIGN(const std::vector<SourceDocument> source, ReadSource(text, file));
  std::string formatted = Writer().Write(source);
  const auto after = ParseYaml(formatted, file);
  if (!after.ok()) return Unproven(file, "not be YAML (" + after.error().message() + ")");
  if (!std::equal(before.begin(), before.end(), after->begin(), after->end(), Same))
    return Unproven(file, "mean something else");
  const auto again = ReadSource(formatted, file);
  if (!again.ok() || AllComments(source) != AllComments(*again)) return Unproven(file, "lose a comment");
  if (Writer().Write(*again) != formatted) return Unproven(file, "not be stable");
  return formatted;
}

}  // namespace bulkhead::policy::tools

#include "policy/expr/program.h"

#include <algorithm>
#include <utility>

#include "policy/expr/bound.h"
#include "policy/expr/checker.h"
#include "policy/expr/constants.h"
#include "policy/expr/evaluator.h"
#include "policy/expr/parser.h"
#include "runner/base/text.h"

namespace bulkhead::expr {

struct Program::State {
  std::string source;
  Dialect dialect = Dialect::kCel;
  Environment environment;
  Limits limits;
  Tree tree;
  uint64_t cost_bound = 0;
  std::vector<size_t> variables_read;
};

std::string_view FaultName(Fault fault) {
  switch (fault) {
    case Fault::kNone: return "none";
    case Fault::kAbsent: return "absent";
    case Fault::kType: return "type";
    case Fault::kArithmetic: return "arithmetic";
    case Fault::kConversion: return "conversion";
    case Fault::kCost: return "cost";
  }
  return "none";
}

Program::Program(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

const std::string& Program::source() const {
  return state_->source;
}
const Type& Program::result_type() const {
  return state_->tree[state_->tree.root].type;
}
uint64_t Program::cost_bound() const {
  return state_->cost_bound;
}
const std::vector<size_t>& Program::variables_read() const {
  return state_->variables_read;
}

namespace {

// The path that a chain of members and literal keys reads; false when `id` is no such chain from a variable on.
bool ChainOf(const Tree& tree, const Environment& environment, NodeId id, std::vector<std::string>& path) {
  const Node& node = tree[id];
  switch (node.kind) {
    case NodeKind::kVariable: path = {environment.variables()[node.index].name}; return true;
    case NodeKind::kMember:
      if (!ChainOf(tree, environment, node.children[0], path)) return false;
      path.push_back(node.text);
      return true;
    case NodeKind::kIndex: {
      const Node& key = tree[node.children[1]];
      if (key.kind != NodeKind::kLiteral || !key.type.Is(Kind::kString)) return false;
      if (!ChainOf(tree, environment, node.children[0], path)) return false;
      path.push_back(key.text);
      return true;
    }
    default: return false;
  }
}

void CollectPaths(const Tree& tree, const Environment& environment, NodeId id,
                  std::vector<std::vector<std::string>>& paths) {
  std::vector<std::string> path;
  if (ChainOf(tree, environment, id, path)) {
    paths.push_back(std::move(path));
    return;
  }
  for (const NodeId child : tree[id].children) CollectPaths(tree, environment, child, paths);
}

}  // namespace

std::vector<std::vector<std::string>> Program::PathsRead() const {
  std::vector<std::vector<std::string>> paths;
  CollectPaths(state_->tree, state_->environment, state_->tree.root, paths);
  return paths;
}

Outcome Program::Evaluate(std::span<const Ref> bindings) const {
  const State& s = *state_;
  Evaluator evaluator(s.source, s.dialect, s.environment, s.limits, s.tree, bindings);
  Outcome outcome;
  Operand operand;
  outcome.ok = evaluator.Run(s.tree.root, operand);
  outcome.cost = evaluator.cost();
  if (outcome.ok) {
    outcome.kind = operand.kind;
    outcome.ok = evaluator.ToValue(operand, s.tree.root, outcome.value);
  }
  if (!outcome.ok) outcome.failure = evaluator.failure();
  return outcome;
}

Truth Program::Decide(std::span<const Ref> bindings) const {
  const State& s = *state_;
  Evaluator evaluator(s.source, s.dialect, s.environment, s.limits, s.tree, bindings);
  Truth truth;
  Operand operand;
  truth.ok = evaluator.Run(s.tree.root, operand);
  truth.cost = evaluator.cost();
  if (!truth.ok) {
    truth.failure = evaluator.failure();
  } else if (!operand.Is(Kind::kBool)) {
    truth.ok = false;
    truth.failure = {Fault::kType, 0, static_cast<uint32_t>(s.source.size()), "the expression must give a bool"};
  } else {
    truth.value = operand.boolean;
  }
  return truth;
}

namespace {

void CheckBound(std::string_view source, uint64_t bound, const Limits& limits, std::vector<Finding>& findings) {
  if (!limits.refuse_by_bound || bound <= limits.cost) return;
  findings.push_back({"E062", 0, static_cast<uint32_t>(source.size()),
                      "evaluating this may cost " + (bound == UINT64_MAX ? "any number of" : std::to_string(bound)) +
                          " units, which is over the budget of " + std::to_string(limits.cost) +
                          "; look through shorter lists, or less of them at once",
                      ""});
}

// In the order of the source, each once.
void Tidy(std::vector<Finding>& findings) {
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.offset < b.offset; });
  const auto same = [](const Finding& a, const Finding& b) {
    return a.id == b.id && a.offset == b.offset && a.message == b.message;
  };
  findings.erase(std::unique(findings.begin(), findings.end(), same), findings.end());
}

}  // namespace

Compiled Compile(std::string_view source, Dialect dialect, const Environment& environment, const Limits& limits,
                 const Type& expected) {
  Compiled compiled;
  const auto whole = static_cast<uint32_t>(std::min<size_t>(source.size(), UINT32_MAX));
  if (source.size() > limits.source_bytes) {
    compiled.findings.push_back(
        {"E067", 0, whole, "the expression is longer than " + std::to_string(limits.source_bytes) + " bytes", ""});
    return compiled;
  }
  if (!IsValidUtf8(source)) {
    compiled.findings.push_back({"E067", 0, whole, "the expression is no valid UTF-8", ""});
    return compiled;
  }
  auto state = std::make_unique<Program::State>();
  state->source = source;
  state->dialect = dialect;
  state->environment = environment;
  state->limits = limits;
  state->tree = Parse(state->source, dialect, limits, compiled.findings);
  const bool is_tree = std::none_of(compiled.findings.begin(), compiled.findings.end(),
                                    [](const Finding& finding) { return finding.id == "E067"; });
  if (is_tree) {
    Checker(state->source, dialect, state->environment, state->tree, compiled.findings).Run(expected);
    if (!HasErrors(compiled.findings)) {
      state->cost_bound = CostBound(state->tree, dialect, limits);
      CheckBound(state->source, state->cost_bound, limits, compiled.findings);
      FindConstants(state->source, dialect, state->environment, limits, state->tree, compiled.findings);
    }
  }
  Tidy(compiled.findings);
  if (HasErrors(compiled.findings)) return compiled;
  for (const Node& node : state->tree.nodes) {
    if (node.kind == NodeKind::kVariable && node.reads) state->variables_read.push_back(node.index);
  }
  std::sort(state->variables_read.begin(), state->variables_read.end());
  state->variables_read.erase(std::unique(state->variables_read.begin(), state->variables_read.end()),
                              state->variables_read.end());
  compiled.program.emplace(std::move(state));
  return compiled;
}

}  // namespace bulkhead::expr

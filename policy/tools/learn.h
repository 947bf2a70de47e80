// A first policy from what plugins did, for a person to read and narrow. The log is attacker-influenced: a proposal
// is in mode audit with an expiry, names what was seen literally, generalises only over enough different values of
// enough workflows, never proposes a protected path or a value with template braces, and says how often each change
// was seen.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "policy/tools/call_log.h"

namespace bulkhead::policy::tools {

struct LearnOptions {
  size_t least_values = 5;     // different values or names before a rule generalises
  size_t least_workflows = 3;  // and different workflows that they came from
  bool include_refused = false;
  std::string expires;  // the last day of mode audit: "2026-12-31"
};

// Not thread-safe. Bounded in memory whatever the log holds.
class Learner {
 public:
  explicit Learner(LearnOptions options) : options_(std::move(options)) {}
  void Add(const LoggedCall& call);

  // One document for each plugin and method, as YAML with comments; empty when nothing was learned. Loads without an
  // error.
  std::string Propose(const CallLogStats& stats) const;

  // What was left out, and why; sentences fit for a terminal.
  std::vector<std::string> Notes() const;

 private:
  struct Change {
    uint64_t replies = 0, refused = 0, advised = 0;
    std::set<std::string> workflows;
    std::set<std::string> values;
    bool all_values = true;  // each observation had one, and all found room
    bool add = false, change = false, remove = false;
    std::string first_time, last_time, refused_by;
    std::map<std::string, uint64_t> minutes;  // observations by minute, for bursts
  };
  struct Target {
    uint64_t replies = 0;
    std::set<std::string> workflows, namespaces, templates;
    bool more_namespaces = false, more_templates = false;
    std::map<std::string, Change> changes;  // by path
  };

  // Of TargetOf and ChangeOf: null when there is no room.
  Target* TargetOf(const LoggedCall& call);
  Change* ChangeOf(Target& target, const LoggedCall& call, const LoggedChange& logged);
  bool MayTeach(const LoggedChange& logged, Rpc rpc);
  void Observe(const LoggedCall& call, const LoggedChange& logged, Change& change);

  void Document(const std::string& plugin, const std::string& method, const Target& target, std::string& out) const;
  std::string Rule(const std::string& path, const Change& change, const Target& target) const;
  std::string ValueOf(const std::string& path, const Change& change, std::string& ladder) const;

  // Adds unless the set or the learner is full; whether it is in.
  bool Remember(std::set<std::string>& set, const std::string& text, size_t most);

  LearnOptions options_;
  size_t room_ = size_t{256} << 20U;  // bytes that may still be remembered
  std::map<std::pair<std::string, std::string>, Target> targets_;
  uint64_t protected_ = 0, unknown_ = 0, templates_ = 0, beyond_ = 0, refused_ = 0;
};

}  // namespace bulkhead::policy::tools

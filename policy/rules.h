// The compiled form of policies. Internal to policy/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/constraint.h"
#include "policy/path.h"
#include "policy/policy.h"

namespace bulkhead::policy {

struct Rule {
  std::string id;
  std::string place;  // "file:line"
  PathPattern path;
  bool add = true, change = true, remove = false;
  std::optional<Constraint> value;  // nullopt: any
  std::string message;              // deny and require

  bool Covers(Op op) const { return op == Op::kAdd ? add : op == Op::kChange ? change : remove; }
};

struct Limits {
  size_t reply_bytes = SIZE_MAX;
  size_t depth = SIZE_MAX;
  size_t items = SIZE_MAX;
  size_t string_bytes = 256U << 10U;
};

struct Policy {
  std::string name;
  std::string place;
  std::string limits_place;
  std::string plugin;  // glob
  std::vector<std::string> rpcs;
  std::vector<std::string> namespaces;  // globs
  std::vector<std::string> templates;   // globs
  Limits limits;
  bool plaintext_loopback = false;
  std::vector<Rule> allow, deny, require;

  bool Matches(const Subject& subject) const;
};

struct PolicySet::State {
  std::vector<Policy> policies;
  std::string texts;  // what the digest covers
};

// '*' stands for any run of characters.
bool GlobMatches(std::string_view glob, std::string_view text);

// Every document of a file. All errors in one message, in the order of the file.
Result<std::vector<Policy>> ReadPolicies(std::string_view text, std::string_view file);

}  // namespace bulkhead::policy

// The hostile corpus: replies that no policy may let through, made from the schema, so that it grows with it.
#pragma once

#include <string>
#include <vector>

#include "policy/tools/call_context.h"

namespace bulkhead::policy::tools {

struct HostileReply {
  std::string name;  // "protected: node.outputs.parameters[evil].globalName", "decode: duplicate key"
  std::string aim;   // the protected set, guard or decode fault that must stop it; a policy may stop it earlier
  CallContext context;
  std::string bytes;
};

// One call for each RPC that a policy matches, made so that the policy's `match` holds (its globs with their stars
// taken away).
std::vector<CallContext> CorpusTargets(const std::vector<Policy>& policies);

// Replies for one target: every protected leaf of the RPC, the guards on values, transitions, keys of lists, decoding.
// A leaf that one of `policies` unprotects is left out.
std::vector<HostileReply> HostileCorpus(const CallContext& target, const std::vector<Policy>& policies);

}  // namespace bulkhead::policy::tools

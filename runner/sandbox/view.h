// Which mounts make up a strict compartment's root.
#pragma once

#include <vector>

#include "runner/base/result.h"
#include "runner/sandbox/plan.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::sandbox {

// A read-only view of the host's programs and libraries, with small /etc and /dev of its own; or of the
// folder spec.rootfs. The launcher's own files (/root, /home, /var, /run, /etc beyond a short list) are not in it.
Result<std::vector<MountEntry>> PlanView(const SandboxSpec& spec);

}  // namespace bulkhead::sandbox

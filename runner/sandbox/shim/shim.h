// The shim: what bulkhead-init becomes once the plugin is started. First process of the compartment,
// reaper, terminator of mutual TLS, and the one who kills everything when the launcher or the plugin ends.
#pragma once

#include <sys/types.h>

#include "runner/base/unique_fd.h"
#include "runner/sandbox/plan.h"

namespace bulkhead::sandbox::shim {

// Runs until the plugin's first process has ended or the launcher closed the control socket; then ends
// every process of the compartment and itself.
[[noreturn]] void Run(const Plan& plan, pid_t plugin, UniqueFd report);

}  // namespace bulkhead::sandbox::shim

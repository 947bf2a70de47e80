// bulkhead-init: builds one compartment and becomes its shim. Single-threaded; every error ends it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "runner/base/unique_fd.h"
#include "runner/sandbox/plan.h"

namespace bulkhead::sandbox::init {

// Reports the step and its errno over `fd` (a FailureMessage) and ends the process.
[[noreturn]] void Fail(int fd, const char* step, int error_number);
[[noreturn]] void Fail(int fd, const std::string& step, int error_number);

// The layout of struct clone_args as of Linux 5.3, without set_tid and cgroup.
struct CloneArguments {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

// Forks this process for each order of the launcher, and returns in each fork, which has its
// descriptors in their places. Ends when the launcher does.
void ServeForks();

// strict: returns in the first process of new namespaces; the caller's own process has ended.
void EnterNamespaces(const Plan& plan);
// strict: the new root, of which the old one is gone.
void BuildRoot(const Plan& plan);
// restricted: there are no namespaces to enter; orphans are made this process's own.
void EnterRestricted();

// Forks the plugin's first process. `report` is the shim's end of a socket over which it sends its
// attestation, the listener of its filter, or its failure; it is closed by exec.
struct Started {
  pid_t pid = -1;
  UniqueFd report;
};
Started StartPlugin(const Plan& plan);

// The plugin's process: strips itself, proves it, and becomes the plugin. Never returns.
[[noreturn]] void BecomePlugin(const Plan& plan, int report, pid_t shim);

}  // namespace bulkhead::sandbox::init

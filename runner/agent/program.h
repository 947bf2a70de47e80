// Where a plugin's program is found when a view of the host's root stands in for its image.
#pragma once

#include "runner/agent/plugin_manifest.h"
#include "runner/base/result.h"
#include "runner/sandbox/spec.h"

namespace bulkhead::agent {

// Makes argv[0] of `spec` startable in a view of the host's root, and adds a notice to the manifest for
// what it changes: a program with an absolute path that the view leaves out is shown read-only at its
// own place; a program name that images have and this host has not ("python") becomes the one that the host
// has ("python3"). kInvalidInput, naming file and line, when there is no such program or it lies where
// every compartment has a folder of its own. Looks at the host's files; does nothing when spec.rootfs is set.
Status FindProgram(PluginManifest& manifest, sandbox::SandboxSpec& spec);

}  // namespace bulkhead::agent

// Options that several verbs share, with the same names and words. Each returns its handle, for what is a verb's own.
#pragma once

#include <string>
#include <vector>

#include "runner/cli/command.h"
#include "runner/cli/print.h"

namespace bulkhead::cli {

Option AddOutput(const Verb& verb, Format& format);

// strict, restricted or auto; TierOption reads it.
Option AddTier(const Verb& verb, std::string& tier);

// PLUGIN=DIR pairs; ReadRootFolders reads them.
Option AddRootfs(const Verb& verb, std::vector<std::string>& rootfs);

Option AddAuditLog(const Verb& verb, std::string& audit);
Option AddSecretFiles(const Verb& verb, std::vector<std::string>& files);

// A Go duration; PositiveDuration reads it.
Option AddStartTimeout(const Verb& verb, std::string& timeout);

// How many at once for each plugin; `text` says of what.
Option AddWorkers(const Verb& verb, size_t& workers, const char* text);

Option AddVerbose(const Verb& verb, bool& verbose);

}  // namespace bulkhead::cli

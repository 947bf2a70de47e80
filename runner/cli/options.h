// Options that several verbs share, with the same names and words.
#pragma once

#include <string>
#include <vector>

#include "runner/cli/command.h"
#include "runner/cli/print.h"

namespace bulkhead::cli {

void AddOutput(const Verb& verb, Format& format);

// strict, restricted or auto; TierOption reads it.
void AddTier(const Verb& verb, std::string& tier);

// PLUGIN=DIR pairs; ReadRootFolders reads them.
void AddRootfs(const Verb& verb, std::vector<std::string>& rootfs);

void AddAuditLog(const Verb& verb, std::string& audit);
void AddSecretFiles(const Verb& verb, std::vector<std::string>& files);

// A Go duration; PositiveDuration reads it.
void AddStartTimeout(const Verb& verb, std::string& timeout);

// How many at once for each plugin; `text` says of what.
void AddWorkers(const Verb& verb, size_t& workers, const char* text);

void AddVerbose(const Verb& verb, bool& verbose);

}  // namespace bulkhead::cli

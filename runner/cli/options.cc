#include "runner/cli/options.h"

namespace bulkhead::cli {

void AddOutput(const Verb& verb, Format& format) {
  verb.AddChoice("-o,--output", format, {{"table", Format::kTable}, {"json", Format::kJson}, {"yaml", Format::kYaml}},
                 "table (for people), json or yaml (for machines)")
      .ValueName("table|json|yaml");
}

void AddTier(const Verb& verb, std::string& tier) {
  verb.AddOption("--tier", tier,
                 "strict, restricted, or auto: the best there is here. Never a lower one than asked, nor under a "
                 "plugin's own minimum")
      .OneOf({"strict", "restricted", "auto"})
      .ShowDefault()
      .ValueName("TIER");
}

void AddRootfs(const Verb& verb, std::vector<std::string>& rootfs) {
  verb.AddOption("--rootfs", rootfs,
                 "A folder to be a plugin's read-only root instead of a view of the host's (tier strict)")
      .ValueName("PLUGIN=DIR");
}

void AddAuditLog(const Verb& verb, std::string& audit) {
  verb.AddOption("--audit", audit, "The audit log; continued if it is there and verifies")
      .ShowDefault()
      .ValueName("FILE");
}

void AddSecretFiles(const Verb& verb, std::vector<std::string>& files) {
  verb.AddOption("--secret-file", files,
                 "A file whose content is masked wherever it would appear, in its common encodings too")
      .ValueName("FILE...");
}

void AddStartTimeout(const Verb& verb, std::string& timeout) {
  verb.AddOption("--plugin-start-timeout", timeout, "The most a plugin may take until it listens on its port")
      .ShowDefault()
      .ValueName("DURATION");
}

void AddWorkers(const Verb& verb, size_t& workers, const char* text) {
  verb.AddOption("--workers", workers, text).Between(1, 256).ShowDefault().ValueName("N");
}

void AddVerbose(const Verb& verb, bool& verbose) {
  verb.AddFlag("-v,--verbose", verbose, "Show what plugins print (masked) and how each compartment is made");
}

}  // namespace bulkhead::cli

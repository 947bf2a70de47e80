#include "runner/cli/options.h"

namespace bulkhead::cli {

Option AddOutput(const Verb& verb, Format& format) {
  return verb
      .AddChoice("-o,--output", format, {{"table", Format::kTable}, {"json", Format::kJson}, {"yaml", Format::kYaml}},
                 "table (for people), json or yaml (for machines)")
      .ValueName("table|json|yaml");
}

Option AddTier(const Verb& verb, std::string& tier) {
  return verb
      .AddOption("--tier", tier,
                 "strict, restricted, or auto: the best there is here. Never a lower one than asked, nor under a "
                 "plugin's own minimum")
      .OneOf({"strict", "restricted", "auto"})
      .ShowDefault()
      .ValueName("TIER");
}

Option AddRootfs(const Verb& verb, std::vector<std::string>& rootfs) {
  return verb
      .AddOption("--rootfs", rootfs,
                 "A folder to be a plugin's read-only root instead of a view of the host's (tier strict)")
      .ValueName("PLUGIN=DIR");
}

Option AddAuditLog(const Verb& verb, std::string& audit) {
  return verb.AddOption("--audit", audit, "The audit log; continued if it is there and verifies")
      .ShowDefault()
      .ValueName("FILE");
}

Option AddSecretFiles(const Verb& verb, std::vector<std::string>& files) {
  return verb
      .AddOption("--secret-file", files,
                 "A file whose content is masked wherever it would appear, in its common encodings too")
      .ValueName("FILE...");
}

Option AddStartTimeout(const Verb& verb, std::string& timeout) {
  return verb.AddOption("--plugin-start-timeout", timeout, "The most a plugin may take until it listens on its port")
      .ShowDefault()
      .ValueName("DURATION");
}

Option AddWorkers(const Verb& verb, size_t& workers, const char* text) {
  return verb.AddOption("--workers", workers, text).Between(1, 256).ShowDefault().ValueName("N");
}

Option AddVerbose(const Verb& verb, bool& verbose) {
  return verb.AddFlag("-v,--verbose", verbose, "Show what plugins print (masked) and how each compartment is made");
}

}  // namespace bulkhead::cli

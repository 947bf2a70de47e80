// bulkhead plugin check: what a plugin's manifest comes to, before anything is started.
#include <memory>
#include <optional>

#include "runner/agent/plugin_manifest.h"
#include "runner/cli/command.h"
#include "runner/cli/options.h"
#include "runner/source/manifest.h"

namespace bulkhead::cli {

namespace {

int Check(const std::vector<std::string>& paths, Format format) {
  auto manifests = source::LoadPlugins(paths);
  if (!manifests.ok()) return Fail(manifests.error());
  Value list = Value::Array();
  std::vector<std::vector<Cell>> rows;
  for (agent::PluginManifest& manifest : *manifests) {
    const sandbox::Tier tier = manifest.minimum_tier.value_or(sandbox::Tier::kStrict);
    auto spec = agent::MakeCompartment(manifest, tier, "", "***");
    if (!spec.ok()) return Fail(spec.error());
    if (const Status valid = sandbox::Validate(*spec); !valid.ok()) return Fail(valid.error());
    list.items.push_back(sandbox::ToValue(*spec));
    std::string handles = manifest.handles.empty() ? "(asked for every template)" : "";
    for (const std::string& key : manifest.handles) handles += (handles.empty() ? "" : ", ") + key;
    rows.push_back({Cell{manifest.name}, Cell{std::to_string(spec->serve_port), Tone::kPlain, true},
                    Cell{spec->seccomp_profile}, Cell{handles}, Cell{spec->argv.front()}});
    for (const std::string& notice : manifest.notices) PrintError("notice: " + manifest.name + ": " + notice);
  }
  if (format == Format::kTable) {
    Print(Table({"PLUGIN", "PORT", "SECCOMP", "HANDLES", "COMMAND"}, rows));
  } else {
    PrintDocument(list, format);
  }
  return kExitOk;
}

}  // namespace

void AddPlugin(const Verb& app, Action& action) {
  const Verb plugin = app.AddVerb("plugin", "Work with plugin manifests");
  plugin.NeedsVerb();
  const Verb check =
      plugin.AddVerb("check", "Report every error of plugin manifests, and the compartments they ask for");
  const auto paths = std::make_shared<std::vector<std::string>>();
  const auto format = std::make_shared<Format>(Format::kTable);
  check.AddOption("PATH", *paths, "Manifests (kind: ExecutorPlugin, or their ConfigMaps), or folders of them")
      .Required();
  AddOutput(check, *format);
  check.OnGiven([&action, paths, format] { action = [paths, format] { return Check(*paths, *format); }; });
}

}  // namespace bulkhead::cli

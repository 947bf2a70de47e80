// bulkhead doctor: which tier this place offers, layer by layer, and what would lift it.
#include <memory>

#include "runner/cli/command.h"
#include "runner/cli/options.h"
#include "runner/sandbox/kernel_features.h"
#include "runner/sandbox/launcher.h"

namespace bulkhead::cli {

namespace {

void PrintReport(const sandbox::TierReport& report) {
  std::vector<std::vector<Cell>> rows;
  const auto cell = [](const std::string& text, bool ok) { return Cell{text, ok ? Tone::kGood : Tone::kBad, false}; };
  for (const sandbox::LayerReport& layer : report.layers) {
    rows.push_back({Cell{layer.layer, Tone::kPlain, false},
                    cell((layer.strict_ok ? "ok: " : "no: ") + layer.strict, layer.strict_ok),
                    cell((layer.restricted_ok ? "ok: " : "no: ") + layer.restricted, layer.restricted_ok)});
  }
  Print(Table({"LAYER", "STRICT", "RESTRICTED"}, rows));
  const auto tier = [](std::string_view name, bool available, const std::string& reason) {
    Print(std::string(name) + ": " +
          (available ? Coloured("available", Tone::kGood) : Coloured("not available", Tone::kBad)) +
          (available || reason.empty() ? "" : " (" + reason + ")") + "\n");
  };
  Print("\n");
  tier("strict", report.strict, report.strict_reason);
  tier("restricted", report.restricted, report.restricted_reason);
  bool heading = false;
  for (const sandbox::LayerReport& layer : report.layers) {
    if (layer.lift.empty()) continue;
    if (!heading) Print("\nTo get what is missing:\n");
    heading = true;
    Print("  " + layer.layer + ": " + layer.lift + "\n");
  }
}

int Doctor(Format format) {
  const sandbox::KernelFeatures features = sandbox::ProbeKernel();
  sandbox::TierReport report = sandbox::Assess(features);
  auto launcher = sandbox::Launcher::Create(features, {});
  if (!launcher.ok()) return Fail(launcher.error());
  report = sandbox::TryTiers(features, **launcher);
  if (format == Format::kTable) {
    PrintReport(report);
  } else {
    PrintDocument(sandbox::ToValue(report, features), format);
  }
  return report.strict || report.restricted ? kExitOk : kExitFailed;
}

}  // namespace

void AddDoctor(const Verb& app, Action& action) {
  const Verb verb = app.AddVerb("doctor", "Tell which sandbox tier this place offers, and what would lift it");
  verb.Footer(
      "Each tier is tried by starting a real process in it. Exit code 1 when there is none.\n"
      "A plugin never runs in a lower tier than it was to have: see `bulkhead run --tier`.");
  const auto format = std::make_shared<Format>(Format::kTable);
  AddOutput(verb, *format);
  verb.OnGiven([&action, format] { action = [format] { return Doctor(*format); }; });
}

}  // namespace bulkhead::cli

// bulkhead audit verify: is the log whole and unaltered.
#include <memory>

#include "runner/audit/audit_log.h"
#include "runner/cli/command.h"
#include "runner/cli/options.h"

namespace bulkhead::cli {

namespace {

Value ToValue(const audit::VerifyReport& report, const std::string& path) {
  Value value = Value::Object();
  value.Set("file", Value::String(path));
  value.Set("ok", Value::Bool(report.ok));
  value.Set("records", Value::Number(static_cast<int64_t>(report.records)));
  value.Set("firstTime", Value::String(report.first_time));
  value.Set("lastTime", Value::String(report.last_time));
  value.Set("head", Value::String(report.head));
  if (!report.ok) {
    value.Set("badLine", Value::Number(static_cast<int64_t>(report.bad_line)));
    value.Set("reason", Value::String(report.reason));
    value.Set("tornTail", Value::Bool(report.torn_tail));
  }
  return value;
}

int Verify(const std::string& path, const std::string& expected_head, Format format) {
  auto report = audit::Verify(path);
  if (!report.ok()) return Fail(report.error());
  if (report->ok && !expected_head.empty() && report->head != expected_head) {
    report->ok = false;
    report->bad_line = report->records;
    report->reason = "the last record's hash is " + report->head + ", not the expected " + expected_head +
                     ": records were cut off, or the log is another one";
  }
  if (format != Format::kTable) {
    PrintDocument(ToValue(*report, path), format);
  } else if (report->ok) {
    Print(Coloured("ok", Tone::kGood) + ": " + path + ": " + std::to_string(report->records) + " records, " +
          report->first_time + " to " + report->last_time + "\n    head " + report->head + "\n");
  } else {
    PrintError(path + ":" + std::to_string(report->bad_line) + ": does not verify: " + report->reason);
  }
  return report->ok ? kExitOk : kExitFailed;
}

}  // namespace

void AddAudit(const Verb& app, Action& action) {
  const Verb audit = app.AddVerb("audit", "Work with audit logs");
  audit.NeedsVerb();
  const Verb verify = audit.AddVerb("verify", "Check that a log is whole: every record, in order, unaltered");
  const auto path = std::make_shared<std::string>();
  const auto head = std::make_shared<std::string>();
  const auto format = std::make_shared<Format>(Format::kTable);
  verify.AddOption("FILE", *path, "The audit log").Required();
  verify
      .AddOption("--head", *head,
                 "The hash that the last record must have, as noted elsewhere: shows a log cut at its end")
      .ValueName("SHA256");
  AddOutput(verify, *format);
  verify.Footer(
      "Exit code 0 when it verifies, 1 when not (naming the first bad line). The format: runner/audit/FORMAT.md.");
  verify.OnGiven(
      [&action, path, head, format] { action = [path, head, format] { return Verify(*path, *head, *format); }; });
}

}  // namespace bulkhead::cli

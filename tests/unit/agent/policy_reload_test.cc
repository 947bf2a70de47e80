#include "runner/agent/policy_reload.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runner/base/io.h"
#include "runner/http/egress_holder.h"

namespace bulkhead::agent {
namespace {

constexpr char kPolicy[] =
    "apiVersion: bulkhead.dev/v1alpha1\nkind: MutationPolicy\nmetadata: {name: p}\n"
    "spec: {match: {plugin: {name: p}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"]}}\n";

class PolicyReloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-reload-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    Write(kPolicy);
    std::vector<redact::NamedSecret> secrets;
    secrets.push_back({"known", Secret("s3cr3t-in-a-policy")});
    auto redactor = redact::Redactor::Create(std::move(secrets));
    ASSERT_TRUE(redactor.ok());
    services_.redactor = *redactor;
    auto audit = audit::AuditLog::Open(folder_ + "/audit.jsonl", clock_);
    ASSERT_TRUE(audit.ok());
    audit_ = std::move(*audit);
    services_.audit = audit_.get();
    services_.metrics = &metrics_;
    services_.log = &log_;
    services_.on_audit_failure = [this](const Error&) { ++failures_; };
    ExposePolicyReload(metrics_);
    auto policies = policy::Holder::Load({folder_}, &egress_);
    ASSERT_TRUE(policies.ok());
    policies_ = std::move(*policies);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& text) { std::ofstream(folder_ + "/p.yaml") << text; }
  // Ends the log, and returns it.
  std::string Records() {
    audit_.reset();
    return *ReadFile(folder_ + "/audit.jsonl", 1U << 20U);
  }
  bool Shows(const std::string& line) const { return metrics_.Exposition().find(line + "\n") != std::string::npos; }

  std::string folder_;
  Clock clock_;
  Metrics metrics_;
  Logger log_{LogLevel::kError, LogFormat::kText};
  int failures_ = 0;
  http::EgressHolder egress_;
  HostServices services_;
  std::unique_ptr<policy::Holder> policies_;
  std::unique_ptr<audit::AuditLog> audit_;
};

TEST_F(PolicyReloadTest, ABrokenFileIsToldByMetricRecordAndLogAndTheNextGoodOneToo) {
  EXPECT_TRUE(Shows("bulkhead_policy_reload_error 0"));
  EXPECT_EQ(ReloadPolicies(*policies_, services_).kind, policy::Reload::Kind::kUnchanged);
  EXPECT_EQ(metrics_.Exposition().find("bulkhead_reloads_total"), std::string::npos);

  Write(std::string(kPolicy) + "---\nkind: HttpEgressPolicy\nmetadata: {name: s3cr3t-in-a-policy}\n");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(ReloadPolicies(*policies_, services_).kind, policy::Reload::Kind::kKept);
  const std::string logged = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(logged.find("what was in force stays"), std::string::npos) << logged;
  EXPECT_TRUE(Shows("bulkhead_policy_reload_error 1"));
  EXPECT_TRUE(Shows("bulkhead_reloads_total{what=\"policy\",result=\"kept\"} 1"));
  EXPECT_TRUE(policies_->Broken().has_value());

  Write(std::string(kPolicy) + "# again\n");
  EXPECT_EQ(ReloadPolicies(*policies_, services_).kind, policy::Reload::Kind::kReplaced);
  EXPECT_TRUE(Shows("bulkhead_policy_reload_error 0"));
  EXPECT_TRUE(Shows("bulkhead_reloads_total{what=\"policy\",result=\"ok\"} 1"));

  const std::string records = Records();
  EXPECT_NE(records.find("\"event\":\"policy.reload\",\"ok\":false"), std::string::npos) << records;
  EXPECT_NE(records.find("\"event\":\"policy.reload\",\"ok\":true"), std::string::npos) << records;
  EXPECT_EQ((records + logged).find("s3cr3t-in-a-policy"), std::string::npos);
  EXPECT_EQ(failures_, 0);
}

}  // namespace
}  // namespace bulkhead::agent

// What the attack tests share: the real launcher, the attacker in a compartment, and the same attacker free.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runner/sandbox/launcher.h"

namespace bulkhead::sandbox {

inline constexpr auto kPatience = std::chrono::seconds(30);

// What the attacker came to.
struct Outcome {
  ExitReport report;
  std::string out;
  std::string Describe() const { return out + " [" + report.ToString() + "]"; }
  bool Done() const { return out.find("DONE") != std::string::npos; }
  bool Denied(int error) const { return out.find("DENIED " + std::to_string(error) + "\n") != std::string::npos; }
};

// A compartment that stays, with what it wrote so far.
struct Running {
  struct Text {
    std::mutex mutex;
    std::string out;
  };
  std::shared_ptr<Text> text;
  std::unique_ptr<SandboxedProcess> process;
  std::string Output() const;
  // Waits until the output holds `needle`.
  bool WaitFor(std::string_view needle) const;
};

// The attacker outside any compartment, kept running; killed at the end.
class Victim {
 public:
  explicit Victim(uint32_t uid);
  ~Victim();
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  int pid() const { return pid_; }
  const std::string& address() const { return address_; }  // of its secret, hexadecimal
  bool alive() const;
  bool Ends() const;  // within the patience of these tests

 private:
  int pid_ = -1;
  std::string address_;
};

class AttackTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kPluginUid = 8737;

  void SetUp() override;
  void TearDown() override;

  using Tweak = std::function<void(SandboxSpec&)>;
  SandboxSpec Spec(Tier tier, std::vector<std::string> act) const;
  Outcome Confined(Tier tier, std::vector<std::string> act, const Tweak& tweak = {});
  Running Start(Tier tier, std::vector<std::string> act, const certs::Identity* server = nullptr,
                std::string_view client_uri = "", const Tweak& tweak = {});
  // The same act, outside of any compartment.
  std::string Free(std::vector<std::string> act, uint32_t uid = kPluginUid) const;

  const KernelFeatures features_ = ProbeKernel();
  std::unique_ptr<Launcher> launcher_;
  // Where a compartment's view of the host leads: its own copy of the attacker.
  std::filesystem::path folder_;
  std::string probe_;
};

class InTier : public AttackTest, public ::testing::WithParamInterface<Tier> {
 protected:
  Outcome Confined(std::vector<std::string> act, const Tweak& tweak = {}) {
    return AttackTest::Confined(GetParam(), std::move(act), tweak);
  }
  bool Strict() const { return GetParam() == Tier::kStrict; }
};

}  // namespace bulkhead::sandbox

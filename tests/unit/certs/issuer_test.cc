// When credentials are replaced. The clock is the test's.
#include "certs/issuer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace bulkhead::certs {
namespace {

using namespace std::chrono_literals;

constexpr auto kLifetime = std::chrono::hours(30);
constexpr char kAgent[] = "spiffe://td/ns/ns/wf/wf/agent";

class SetClock : public Clock {
 public:
  WallTime Wall() const override { return WallTime(std::chrono::seconds(1'800'000'000) + offset); }
  std::chrono::nanoseconds offset{0};
};

TEST(IssuerTest, CredentialsAreReplacedBeforeTheyEndAndWhenTheClockLeavesThem) {
  struct Case {
    std::chrono::nanoseconds offset;
    bool replaced;
    const char* why;
  };
  const Case cases[] = {
      {0h, false, "just made"},
      {19h + 59min, false, "two thirds are not over"},
      {20h, true, "two thirds are over"},
      {29h, true, "nearly over"},
      {300h, true, "long over, as after a jump"},
      {-1min, false, "a small step back is within the tolerance"},
      {-1h, true, "not good yet"},
      {-24h * 365, true, "not good for a year"},
  };
  for (const Case& item : cases) {
    SCOPED_TRACE(item.why);
    SetClock clock;
    auto issuer = Issuer::Create("td", kAgent, kLifetime, clock);
    ASSERT_TRUE(issuer.ok());
    const auto before = *(*issuer)->Current();
    clock.offset = item.offset;
    const auto after = *(*issuer)->Current();
    EXPECT_EQ(before != after, item.replaced);
    EXPECT_EQ(before->agent.authority_der != after->agent.authority_der, item.replaced);
    EXPECT_EQ(after->agent.uri, kAgent);
    // And these stay.
    EXPECT_EQ(*(*issuer)->Current(), after);
  }
}

TEST(IssuerTest, ManyWhoAskAtOnceGetTheSame) {
  SetClock clock;
  auto issuer = Issuer::Create("td", kAgent, kLifetime, clock);
  ASSERT_TRUE(issuer.ok());
  clock.offset = 25h;
  std::vector<std::shared_ptr<const Credentials>> got(8);
  std::vector<std::thread> threads;
  for (auto& mine : got) threads.emplace_back([&] { mine = *(*issuer)->Current(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : got) EXPECT_EQ(mine, got.front());
}

}  // namespace
}  // namespace bulkhead::certs

#include "runner/base/text.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>

namespace bulkhead {
namespace {

using std::chrono::nanoseconds;

TEST(Nearest, FindsTheTypoAndLeavesStrangersAlone) {
  constexpr std::array<std::string_view, 3> kNames = {"allow", "deny", "require"};
  EXPECT_EQ(Nearest("alow", kNames), "allow");
  EXPECT_EQ(Nearest("requires", kNames), "require");
  EXPECT_EQ(Nearest("metadata", kNames), std::nullopt);
  EXPECT_EQ(DidYouMean("alow", kNames), " (did you mean \"allow\"?)");
  EXPECT_EQ(DidYouMean("zzzzzz", kNames), "");
}

TEST(EditDistance, StopsAtItsBound) {
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3U);
  EXPECT_EQ(EditDistance("", "abc"), 3U);
  EXPECT_EQ(EditDistance("aaaaaaaaaa", "b", 3), 4U);
}

struct DurationCase {
  std::string_view text;
  int64_t nanos;  // -1: refused
};

TEST(GoDuration, ReadsWhatGoReads) {
  const DurationCase cases[] = {{"0", 0},
                                {"1ns", 1},
                                {"1us", 1'000},
                                {"1\xC2\xB5s", 1'000},
                                {"2m", 120'000'000'000},
                                {"1h30m", 5'400'000'000'000},
                                {"1.5s", 1'500'000'000},
                                {".5s", 500'000'000},
                                {"1.s", 1'000'000'000},
                                {"", -1},
                                {"5", -1},
                                {"s", -1},
                                {"1d", -1},
                                {" 1s", -1},
                                {"1s ", -1},
                                {"1..5s", -1},
                                {"9223372036854775807ns", std::numeric_limits<int64_t>::max()},
                                {"9223372036854775808ns", -1},
                                {"2562048h", -1},
                                {"99999999999999999999h", -1},
                                {"+1s", 1'000'000'000},
                                {"--1s", -1}};
  for (const DurationCase& c : cases) {
    const auto parsed = ParseGoDuration(c.text);
    if (c.nanos < 0) {
      EXPECT_FALSE(parsed.has_value()) << c.text;
    } else {
      ASSERT_TRUE(parsed.has_value()) << c.text;
      EXPECT_EQ(parsed->count(), c.nanos) << c.text;
    }
  }
  EXPECT_EQ(ParseGoDuration("-1.5s")->count(), -1'500'000'000);
}

TEST(GoDuration, WritesWhatGoWrites) {
  EXPECT_EQ(FormatGoDuration(nanoseconds(0)), "0s");
  EXPECT_EQ(FormatGoDuration(nanoseconds(1)), "1ns");
  EXPECT_EQ(FormatGoDuration(nanoseconds(1'100)), "1.1\xC2\xB5s");
  EXPECT_EQ(FormatGoDuration(nanoseconds(2'200'000)), "2.2ms");
  EXPECT_EQ(FormatGoDuration(nanoseconds(90'000'000'000)), "1m30s");
  EXPECT_EQ(FormatGoDuration(nanoseconds(3'600'000'000'000)), "1h0m0s");
  EXPECT_EQ(FormatGoDuration(nanoseconds(-1'500'000'000)), "-1.5s");
  EXPECT_EQ(FormatGoDuration(nanoseconds::min()), "-2562047h47m16.854775808s");
}

TEST(Quantity, ReadsKubernetesQuantities) {
  EXPECT_EQ(ParseQuantity("64Mi"), 64 << 20);
  EXPECT_EQ(ParseQuantity("1.5Gi"), 1'610'612'736);
  EXPECT_EQ(ParseQuantity("128M"), 128'000'000);
  EXPECT_EQ(ParseQuantity("1e3"), 1000);
  EXPECT_EQ(ParseQuantity("250m"), 1);
  EXPECT_EQ(ParseMilliQuantity("250m"), 250);
  EXPECT_EQ(ParseMilliQuantity("2"), 2000);
  EXPECT_EQ(ParseMilliQuantity("0.5"), 500);
  EXPECT_EQ(ParseMilliQuantity("9223372036.1234567890123456"), 9'223'372'036'124);
  EXPECT_FALSE(ParseMilliQuantity("9223372036.12345678901234567").has_value());
  for (const char* bad : {"", "Mi", "1Xi", "1.2.3", "-1", "1 Mi", "9999999999Ei", "1e99", "0x10", "1i"}) {
    EXPECT_FALSE(ParseQuantity(bad).has_value()) << bad;
  }
}

TEST(Utf8, OnlyTheWellFormedPasses) {
  for (const char* good : {"", "abc", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"})
    EXPECT_TRUE(IsValidUtf8(good)) << good;
  for (const char* bad : {"\x80", "\xC0\xAF", "\xC1\x81", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "a\xFF"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << bad;
  }
}

TEST(EscapeForTerminal, ShowsWhatATerminalWouldObey) {
  EXPECT_EQ(EscapeForTerminal("plain é 😀"), "plain é 😀");
  EXPECT_EQ(EscapeForTerminal("a\x1b[31mb"), "a\\x1b[31mb");
  EXPECT_EQ(EscapeForTerminal("a\nb\r\tc"), "a\\nb\\r\\tc");
  EXPECT_EQ(EscapeForTerminal("x\xE2\x80\xAEy"), "x\\u202ey");
  EXPECT_EQ(EscapeForTerminal("x\xC2\x9By"), "x\\x9by");
  EXPECT_EQ(EscapeForTerminal("x\xE2\x80\xA8y"), "x\\u2028y");
  EXPECT_EQ(EscapeForTerminal("x\xF3\xA0\x80\x81y"), "x\\U000e0001y");
  EXPECT_EQ(EscapeForTerminal("\xFF\xFE"), "\\xff\\xfe");
  EXPECT_EQ(EscapeForTerminal(std::string_view("\0", 1)), "\\x00");
}

TEST(Base64, RoundTripsAndRefusesWhatHasTwoReadings) {
  for (const std::string_view bytes : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    EXPECT_EQ(Base64Decode(Base64Encode(bytes)), bytes);
  }
  EXPECT_EQ(Base64Encode("foob"), "Zm9vYg==");
  for (const char* bad : {"Zg", "Zg=", "Zh==", "Zm9=", "====", "Zm9v=", "Z=9v", "Zm 9", "Zg==Zg=="}) {
    EXPECT_FALSE(Base64Decode(bad).has_value()) << bad;
  }
}

TEST(Sha256, MatchesTheStandardsExample) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Timestamp, IsRfc3339InUtc) {
  using Time = std::chrono::system_clock::time_point;
  EXPECT_EQ(FormatTimestamp(Time(std::chrono::microseconds(1'767'225'600'000'042))), "2026-01-01T00:00:00.000042Z");
  EXPECT_EQ(FormatTimestamp(Time(std::chrono::microseconds(-1))), "1969-12-31T23:59:59.999999Z");
}

}  // namespace
}  // namespace bulkhead

// A journal's file as a crash, a full disk or somebody else may have left it. The first byte says whether the lines
// get the checksums that they would have had.
#include <fcntl.h>

#include <array>
#include <cstdio>
#include <string>

#include "fuzz.h"
#include "runner/agent/journal.h"
#include "runner/base/io.h"
#include "runner/base/text.h"

using namespace bulkhead;

namespace {

uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
  }
  return ~crc;
}

std::string Sealed(std::string_view records) {
  std::string text;
  for (const std::string& record : Split(records, '\n')) {
    std::array<char, 16> digits{};
    std::snprintf(digits.data(), digits.size(), "%08x ", Crc32c(record));
    text += digits.data() + record + "\n";
  }
  return text;
}

void Fill(const std::string& file, const std::string& text) {
  const auto fd = OpenFile(file, O_WRONLY | O_CREAT | O_TRUNC);
  fuzz::Require(fd.ok() && WriteAll(fd->get(), text).ok(), "the file can be written");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const std::string* const folder = [] {
    // Not on a disk: every journal is synced.
    static TempDir made = TempDir::Create("journal-fuzz-", "/dev/shm").value();
    return &made.path();
  }();
  const std::string_view rest = fuzz::Text(data + 1, size - 1);
  Fill(*folder + "/journal", data[0] % 2 == 0 ? std::string(rest) : Sealed(rest));
  size_t known = 0;
  {
    const auto journal = agent::Journal::Open(*folder, {});
    if (!journal.ok()) {
      fuzz::Require(!journal.error().message().empty(), "a refusal has its reason");
      return 0;
    }
    for (const std::string_view key : {"uid/a", "uid/b", ""}) {
      const agent::Remembered remembered = (*journal)->Recall(key);
      fuzz::Require(remembered.stage == agent::Remembered::Stage::kUnknown || remembered.node.is_object(),
                    "what is recalled of a node is a mapping");
      fuzz::Require(remembered.attempt >= 0, "no attempt is negative");
    }
    known = (*journal)->size();
    fuzz::Require((*journal)->Start("uid/new", 1, 1).ok(), "it goes on");
  }
  const auto again = agent::Journal::Open(*folder, {});
  fuzz::Require(again.ok() && (*again)->cut_bytes() == 0, "what it goes on with reads back");
  fuzz::Require((*again)->size() >= known, "nothing is lost");
  return 0;
}

// Redactor: removes known secrets from whatever leaves the agent.
//
// A secret is found as it is and in its common encodings: standard and URL-safe base64 at all three
// alignments, with and without padding; hex in both cases; percent-encoding; JSON, HTML and backslash
// escapes (see encoders.h for the exact list); each in any chunking of a stream. What matched is
// replaced by "[REDACTED:<name>]". Matching is Vectorscan's (Hyperscan API).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/result.h"
#include "runner/base/secret.h"
#include "runner/base/value.h"

namespace bulkhead::redact {

struct NamedSecret {
  std::string name;  // [A-Za-z0-9._/-], shown in the mask
  Secret bytes;
};

// Immutable after Create; all const methods are thread-safe.
class Redactor {
 public:
  // Secrets shorter than kMinimumBytes are refused (kInvalidInput naming the secret): masking them
  // would shred ordinary text and reveal them by where the masks stand.
  static constexpr size_t kMinimumBytes = 6;
  static Result<std::shared_ptr<const Redactor>> Create(std::vector<NamedSecret> secrets);
  ~Redactor();

  // `text` with every occurrence masked; counts masks in *masked when given. Returns the same bytes
  // when nothing matched.
  std::string Redact(std::string_view text, size_t* masked = nullptr) const;
  // Whether anything would be masked; cheaper than Redact.
  bool Contains(std::string_view text) const;
  // Masks in every string and key of a tree, in place. Returns the number of masks.
  size_t RedactTree(Value& value) const;

  // The length of the longest thing that can match: what a stream must hold back.
  size_t longest() const;

  struct State;
  const State& state() const { return *state_; }

 private:
  explicit Redactor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Redacts one byte stream in chunks of any size: output is identical however the input was cut. Holds
// back at most longest() - 1 bytes, and only while they could still become a match. Not thread-safe.
class StreamRedactor {
 public:
  explicit StreamRedactor(std::shared_ptr<const Redactor> redactor);
  ~StreamRedactor();
  StreamRedactor(StreamRedactor&&) noexcept;
  StreamRedactor& operator=(StreamRedactor&&) noexcept;

  // Appends what is now safe to `out`.
  void Write(std::string_view chunk, std::string& out);
  // The end of the stream: appends the rest.
  void Finish(std::string& out);
  size_t masked() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bulkhead::redact

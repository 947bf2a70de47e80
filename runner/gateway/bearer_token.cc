#include "runner/gateway/bearer_token.h"

#include <utility>

#include "runner/base/io.h"

namespace bulkhead::gateway {

namespace {

constexpr size_t kLongest = 4096;
// A stranger must not make us read a file for each guess.
constexpr auto kTryAgainAfter = std::chrono::milliseconds(200);

Result<Secret> ReadToken(const std::string& file) {
  auto text = ReadFile(file, kLongest);
  if (!text.ok()) return Error(Code::kInvalidInput, "the token: " + text.error().message());
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (text->size() < BearerToken::kShortest) {
    return Error(Code::kInvalidInput, file + ": a token has at least " + std::to_string(BearerToken::kShortest) +
                                          " characters; this one could be guessed");
  }
  return Secret(std::move(*text));
}

}  // namespace

Result<BearerToken> BearerToken::Load(std::string file) {
  BULKHEAD_ASSIGN(Secret token, ReadToken(file));
  return BearerToken(std::move(file), std::move(token));
}

BearerToken::BearerToken(BearerToken&& other) noexcept : file_(other.file_), token_(std::move(other.token_)) {}

BearerToken::Check BearerToken::Matches(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return Check::kMissing;
  const std::string_view given = authorization.substr(kScheme.size());
  if (Equals(given)) return Check::kMatch;
  {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now < tried_at_ + kTryAgainAfter) return Check::kWrong;
    tried_at_ = now;
  }
  return Refresh().ok() && Equals(given) ? Check::kMatch : Check::kWrong;
}

Status BearerToken::Refresh() {
  BULKHEAD_ASSIGN(Secret token, ReadToken(file_));
  const std::lock_guard lock(mutex_);
  token_ = std::move(token);
  return OkStatus();
}

Secret BearerToken::Copy() const {
  const std::lock_guard lock(mutex_);
  return token_.Clone();
}

bool BearerToken::Equals(std::string_view given) const {
  const std::lock_guard lock(mutex_);
  return SameSecret(given, token_.Reveal());
}

}  // namespace bulkhead::gateway

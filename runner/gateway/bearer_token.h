// BearerToken: the token that callers in plain HTTP must send, from a file that may be replaced at any time.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/base/secret.h"

namespace bulkhead::gateway {

// Thread-safe.
class BearerToken {
 public:
  static constexpr size_t kShortest = 16;
  enum class Check { kMatch, kMissing, kWrong };

  // Argo's `agent init` makes the file before it starts the plugins' containers. kInvalidInput when it cannot be
  // read, or holds fewer than kShortest characters.
  static Result<BearerToken> Load(std::string file);
  BearerToken(BearerToken&& other) noexcept;

  // `authorization`: the header's value, "Bearer <token>". Compared in constant time. One that does not match is
  // tried again against the file, in case that it was replaced just now.
  Check Matches(std::string_view authorization);
  // Reads the file again. When it cannot be, what was in force stays in force.
  Status Refresh();
  Secret Copy() const;

 private:
  BearerToken(std::string file, Secret token) : file_(std::move(file)), token_(std::move(token)) {}
  bool Equals(std::string_view given) const;

  const std::string file_;
  mutable std::mutex mutex_;
  Secret token_;         // guarded by mutex_
  SteadyTime tried_at_;  // guarded by mutex_
};

}  // namespace bulkhead::gateway

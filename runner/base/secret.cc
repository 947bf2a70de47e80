#include "runner/base/secret.h"

#include <openssl/crypto.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

namespace bulkhead {

Secret::Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) {
  // A short string lives inside the object, so that moving copies it.
  other.Wipe();
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  Wipe();
  bytes_ = std::move(other.bytes_);
  other.Wipe();
  return *this;
}

void Secret::Wipe() {
  bytes_.resize(bytes_.capacity());
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
  bytes_.clear();
}

bool SameSecret(std::string_view a, std::string_view b) {
  return !a.empty() && a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void Wipe(void* bytes, size_t size) {
  OPENSSL_cleanse(bytes, size);
}

Secret RandomToken(size_t length) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  // Bytes at or over the largest multiple of the alphabet's size are drawn again: no character is likelier.
  constexpr unsigned kBound = 256 - 256 % kAlphabet.size();
  std::string token;
  token.reserve(length);
  std::array<uint8_t, 64> random;
  while (token.size() < length) {
    const ssize_t got = ::getrandom(random.data(), random.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      std::abort();  // getrandom(2) fails only where the system call itself is missing or blocked
    }
    for (size_t i = 0; i < static_cast<size_t>(got) && token.size() < length; ++i) {
      if (random[i] < kBound) token += kAlphabet[random[i] % kAlphabet.size()];
    }
  }
  OPENSSL_cleanse(random.data(), random.size());
  return Secret(std::move(token));
}

}  // namespace bulkhead

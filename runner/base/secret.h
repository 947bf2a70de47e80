// Secret: bytes that must not be printed, copied by accident or left behind in freed memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bulkhead {

// Move-only; wiped with OPENSSL_cleanse-like stores when destroyed. There is no operator<< and no
// conversion to string: Reveal() is the one, greppable, way in. Not thread-safe to move.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string bytes) : bytes_(std::move(bytes)) {}
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { Wipe(); }

  // A view that lives as long as this object. Never log it.
  std::string_view Reveal() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }
  Secret Clone() const { return Secret(bytes_); }

 private:
  void Wipe();
  std::string bytes_;
};

// Whether both hold the same bytes, in a time that depends on their lengths alone. Two empty ones are not
// equal: what is not set opens nothing.
bool SameSecret(std::string_view a, std::string_view b);

// Overwrites bytes that held a secret, in a way that the compiler must keep.
void Wipe(void* bytes, size_t size);

// `length` characters of [A-Za-z0-9] from getrandom(2).
Secret RandomToken(size_t length);

}  // namespace bulkhead

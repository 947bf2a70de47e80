// Result<T>: the one way this project reports an expected failure.
//
// An Error carries a closed code, which alone decides exit codes and retries, and a sentence for a
// person: what happened, where, and what to do instead. Its text must never hold a secret, and may
// hold text of a plugin only after it went through redact::Redactor and EscapeForTerminal.
//
// A Result is not thread-safe; distinct Results are independent.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace bulkhead {

enum class Code {
  kInvalidInput,       // a file, flag or document is wrong; the user must change it (exit code 2)
  kNotFound,           // a named thing does not exist
  kPermissionDenied,   // the operating system or a policy refused
  kUnavailable,        // transient: trying again later may work
  kDeadlineExceeded,   // a bound on time ran out
  kResourceExhausted,  // a bound on size, memory, descriptors or processes was hit
  kUnsupported,        // this kernel or place lacks what is asked for
  kCorrupt,            // stored data does not verify
  kCancelled,          // the program is being stopped
  kInternal,           // anything else: an operating system call that should not fail, failed
};

// The name in lower case with hyphens ("invalid-input"); a static string.
std::string_view CodeName(Code code);

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with "context: " before its message.
  Error WithContext(std::string_view context) const&;

 private:
  Code code_;
  std::string message_;
};

// "<what>: <strerror(error_number)>"; the code is chosen from error_number (EACCES and EPERM become
// kPermissionDenied, ENOENT kNotFound, EAGAIN and ECONNREFUSED kUnavailable, ENOMEM, EMFILE, ENFILE,
// ENOSPC and EDQUOT kResourceExhausted, ENOSYS and EOPNOTSUPP kUnsupported, others kInternal).
Error ErrnoError(std::string_view what, int error_number);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }

  // Only when ok().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }

  // Only when !ok().
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

inline Status OkStatus() {
  return {};
}

}  // namespace bulkhead

#define BULKHEAD_CONCAT_INNER(a, b) a##b
#define BULKHEAD_CONCAT(a, b) BULKHEAD_CONCAT_INNER(a, b)

// Returns the error of a Status or Result expression from the enclosing function, if it has one.
#define BULKHEAD_TRY(expression)                                          \
  do {                                                                    \
    auto bulkhead_status = (expression);                                  \
    if (!bulkhead_status.ok()) return std::move(bulkhead_status).error(); \
  } while (false)

// BULKHEAD_ASSIGN(Type name, expression): declares `name` with the value, or returns the error.
#define BULKHEAD_ASSIGN(declaration, expression) \
  BULKHEAD_ASSIGN_INNER(BULKHEAD_CONCAT(bulkhead_result_, __LINE__), declaration, expression)
#define BULKHEAD_ASSIGN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                                  \
  if (!temporary.ok()) return std::move(temporary).error();       \
  declaration = std::move(temporary).value()

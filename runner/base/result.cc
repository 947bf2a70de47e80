#include "runner/base/result.h"

#include <cerrno>
#include <system_error>

namespace bulkhead {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kInvalidInput: return "invalid-input";
    case Code::kNotFound: return "not-found";
    case Code::kPermissionDenied: return "permission-denied";
    case Code::kUnavailable: return "unavailable";
    case Code::kDeadlineExceeded: return "deadline-exceeded";
    case Code::kResourceExhausted: return "resource-exhausted";
    case Code::kUnsupported: return "unsupported";
    case Code::kCorrupt: return "corrupt";
    case Code::kCancelled: return "cancelled";
    case Code::kInternal: return "internal";
  }
  return "internal";
}

Error Error::WithContext(std::string_view context) const& {
  std::string text(context);
  text += ": ";
  text += message_;
  return {code_, std::move(text)};
}

namespace {

Code CodeOfErrno(int error_number) {
  switch (error_number) {
    case EACCES:
    case EPERM:
    case EROFS: return Code::kPermissionDenied;
    case ENOENT: return Code::kNotFound;
    case EAGAIN:
    case ECONNREFUSED: return Code::kUnavailable;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT: return Code::kResourceExhausted;
    case ENOSYS:
    case EOPNOTSUPP: return Code::kUnsupported;
    default: return Code::kInternal;
  }
}

}  // namespace

Error ErrnoError(std::string_view what, int error_number) {
  std::string text(what);
  text += ": ";
  // strerror() is not thread-safe; the system category's message is.
  text += std::system_category().message(error_number);
  return {CodeOfErrno(error_number), std::move(text)};
}

}  // namespace bulkhead

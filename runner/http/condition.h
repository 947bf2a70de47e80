// The successCondition of an HTTP template: expr-lang over `request` and `response` (policy/expr/README.md).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runner/base/result.h"

namespace bulkhead::http {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// What a condition looks at. Borrowed for the time of the call.
struct Exchange {
  std::string_view method;  // as the template has it: empty stays empty
  std::string_view url;
  const HeaderList* request_headers = nullptr;
  std::string_view request_body;
  int status = 0;
  const HeaderList* response_headers = nullptr;
  std::string_view response_body;
};

// Immutable; safe to use from many threads. Copies share the compiled expression.
class Condition {
 public:
  // kInvalidInput: the compiler's findings, a line each.
  static Result<Condition> Compile(std::string_view source);

  // Does no I/O and always ends. The error says what could not be evaluated.
  Result<bool> Holds(const Exchange& exchange) const;

  const std::string& source() const { return source_; }

 private:
  struct State;
  Condition(std::string source, std::shared_ptr<const State> state)
      : source_(std::move(source)), state_(std::move(state)) {}

  std::string source_;
  std::shared_ptr<const State> state_;
};

}  // namespace bulkhead::http

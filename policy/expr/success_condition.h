// `successCondition` of an HTTP template: an expr-lang expression over the request and the response.
//
// The environment is exactly what Argo's agent gives (workflow/executor/agent.go of argo-workflows v4.1):
//   request.method, .url, .body: string; .bodyBytes: bytes; .headers: map from name to list of string
//   response.statusCode: int; .body: string; .headers: map from name to list of string
// Header names are in Go's canonical form ("Content-Type"); `headers.Get("content-type")` finds them in any case.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/expr/program.h"

namespace bulkhead::expr {

// Plain data; views are borrowed for the time of the call.
struct HttpExchange {
  using Headers = std::vector<std::pair<std::string, std::string>>;  // in the order received; names in any case

  std::string_view method;  // as the template has it: empty stays empty
  std::string_view url;
  std::string_view body;        // http.body
  std::string_view body_bytes;  // http.bodyFrom.bytes, or the bytes of body
  Headers request_headers;
  int64_t status_code = 0;
  std::string_view response_body;
  Headers response_headers;
};

// "content-type" -> "Content-Type", as Go's textproto.CanonicalMIMEHeaderKey; names with other characters than
// a header may have stay as they are.
std::string CanonicalHeaderName(std::string_view name);

Environment SuccessConditionEnvironment();
// The limits that fit it: the response's body may be long, so the budget is one of time, not of a static bound.
Limits SuccessConditionLimits();

// A bool expression in dialect kExpr over that environment.
Compiled CompileSuccessCondition(std::string_view source);

// Invalid UTF-8 in a body or header is replaced by U+FFFD, as an expression sees text only. Copies the exchange.
Truth EvaluateSuccessCondition(const Program& condition, const HttpExchange& exchange);

}  // namespace bulkhead::expr

#include "policy/expr/success_condition.h"

#include <algorithm>
#include <array>

#include "runner/base/text.h"

namespace bulkhead::expr {

namespace {

constexpr size_t kMostBody = 16U << 20U;
constexpr size_t kMostHeaders = 1024;

bool IsTokenByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

// Go's strings.ToValidUTF8 with U+FFFD for each run of invalid bytes.
std::string ToValidUtf8(std::string_view text) {
  if (IsValidUtf8(text)) return std::string(text);
  std::string out;
  bool bad = false;
  while (!text.empty()) {
    size_t length = 1;
    while (length <= 4 && length <= text.size() && !IsValidUtf8(text.substr(0, length))) ++length;
    if (length <= 4 && length <= text.size()) {
      out += text.substr(0, length);
      bad = false;
    } else {
      if (!bad) out += "\xEF\xBF\xBD";
      bad = true;
      length = 1;
    }
    text.remove_prefix(length);
  }
  return out;
}

Value HeaderMap(const HttpExchange::Headers& headers) {
  Value map = Value::Object();
  for (const auto& [name, value] : headers) {
    const std::string canonical = CanonicalHeaderName(ToValidUtf8(name));
    if (map.Find(canonical) == nullptr) map.Set(canonical, Value::Array());
    map.Find(canonical)->items.push_back(Value::String(ToValidUtf8(value)));
  }
  return map;
}

}  // namespace

std::string CanonicalHeaderName(std::string_view name) {
  std::string out(name);
  if (!std::all_of(name.begin(), name.end(), IsTokenByte)) return out;
  bool upper = true;
  for (char& c : out) {
    if (upper && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!upper && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    upper = c == '-';
  }
  return out;
}

Environment SuccessConditionEnvironment() {
  const Type headers = Type::Map(Type::String(), Type::List(Type::String()));
  return Environment({
      {"request", Type::Object("request", {{"method", Type::String()},
                                           {"url", Type::String()},
                                           {"body", Type::String(kMostBody)},
                                           {"bodyBytes", Type::Bytes(kMostBody)},
                                           {"headers", headers}})},
      {"response",
       Type::Object("response",
                    {{"statusCode", Type::Int()}, {"body", Type::String(kMostBody)}, {"headers", headers}})},
  });
}

Limits SuccessConditionLimits() {
  Limits limits;
  limits.refuse_by_bound = false;
  limits.cost = 20'000'000;
  limits.memory_bytes = 64U << 20U;
  limits.items = kMostHeaders;
  return limits;
}

Compiled CompileSuccessCondition(std::string_view source) {
  return Compile(source, Dialect::kExpr, SuccessConditionEnvironment(), SuccessConditionLimits(), Type::Bool());
}

Truth EvaluateSuccessCondition(const Program& condition, const HttpExchange& exchange) {
  Value request = Value::Object();
  request.Set("method", Value::String(std::string(exchange.method)));
  request.Set("url", Value::String(std::string(exchange.url)));
  request.Set("body", Value::String(ToValidUtf8(exchange.body)));
  request.Set("bodyBytes", Value::String(std::string(exchange.body_bytes)));
  request.Set("headers", HeaderMap(exchange.request_headers));
  Value response = Value::Object();
  response.Set("statusCode", Value::Number(exchange.status_code));
  response.Set("body", Value::String(ToValidUtf8(exchange.response_body)));
  response.Set("headers", HeaderMap(exchange.response_headers));
  const std::array<Ref, 2> bindings = {RefTo(request), RefTo(response)};
  return condition.Decide(bindings);
}

}  // namespace bulkhead::expr

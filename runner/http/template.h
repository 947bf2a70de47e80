// The `http:` of a template, read strictly (argo-workflows, pkg/apis/workflow/v1alpha1/http_types.go).
//
// Refused besides what Argo would refuse: header fields that frame a message or belong to one connection
// (Content-Length, Transfer-Encoding, Connection, ...), which the client writes itself; CONNECT and TRACE.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/fields.h"
#include "runner/base/value.h"
#include "runner/http/condition.h"

namespace bulkhead::http {

struct SecretRef {
  std::string name;
  std::string key;
};

struct HeaderField {
  std::string name;
  std::string value;                // empty when `secret` is set
  std::optional<SecretRef> secret;  // the value is this key of a Secret of the workflow's namespace
};

struct HttpTemplate {
  std::string method;  // as written; empty means GET
  std::string url;
  std::vector<HeaderField> headers;
  std::string host_header;  // the value of a Host header; it is not among `headers`
  std::string body;         // of body or bodyFrom.bytes
  std::optional<std::chrono::seconds> timeout;
  bool insecure_skip_verify = false;
  std::optional<Condition> success_condition;

  std::string_view Method() const { return method.empty() ? std::string_view("GET") : std::string_view(method); }
};

// No control character but tab: what a header's value may have on the wire.
bool IsHeaderValue(std::string_view value);

// What is wrong goes to `diagnostics`; the template is then not to be used. The URL is checked, not kept parsed.
HttpTemplate ReadHttpTemplate(const Value& http, Diagnostics& diagnostics);

}  // namespace bulkhead::http

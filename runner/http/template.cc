#include "runner/http/template.h"

#include <algorithm>
#include <array>

#include "runner/base/text.h"
#include "runner/http/url.h"

namespace bulkhead::http {

namespace {

constexpr size_t kMostHeaders = 64;
constexpr size_t kMostHeaderBytes = 16U << 10U;
constexpr size_t kMostBodyBytes = 1U << 20U;
constexpr int64_t kMostSeconds = int64_t{7} * 24 * 3600;

// Written by the client, or meaningful between two neighbours only.
constexpr std::array<std::string_view, 13> kOwnHeaders = {"connection",
                                                          "content-length",
                                                          "expect",
                                                          "http2-settings",
                                                          "keep-alive",
                                                          "proxy-authorization",
                                                          "te",
                                                          "trailer",
                                                          "proxy-connection",
                                                          "upgrade",
                                                          "via",
                                                          "transfer-encoding",
                                                          "accept-encoding"};

// RFC 9110, section 5.6.2.
bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

class TemplateReader {
 public:
  TemplateReader(const Value& http, Diagnostics& diagnostics)
      : diagnostics_(diagnostics), fields_(http, "http", diagnostics) {}

  HttpTemplate Read() {
    ReadMethod();
    read_.url = fields_.RequiredString("url");
    if (!read_.url.empty()) {
      if (const auto url = ParseUrl(read_.url); !url.ok()) Bad("url", "http.url: " + url.error().message());
    }
    if (const Value* headers = fields_.OfKind("headers", Value::Kind::kArray)) ReadHeaders(*headers);
    ReadBody();
    if (const auto seconds = fields_.Int("timeoutSeconds", 0, kMostSeconds); seconds.value_or(0) > 0)
      read_.timeout = std::chrono::seconds(*seconds);
    read_.insecure_skip_verify = fields_.Bool("insecureSkipVerify").value_or(false);
    ReadCondition();
    fields_.Done();
    return std::move(read_);
  }

 private:
  void Bad(std::string_view key, std::string_view message) { diagnostics_.Add(fields_.Any(key)->at, message); }

  void ReadMethod() {
    read_.method = fields_.String("method").value_or("");
    if (read_.method.empty()) return;
    if (!IsToken(read_.method)) Bad("method", "http.method must be a word such as GET");
    if (read_.method == "CONNECT" || read_.method == "TRACE")
      Bad("method", "http.method " + read_.method + " is not requested: it speaks to proxies, not to servers");
    std::string capitals = read_.method;
    for (char& c : capitals) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
    }
    // HTTP tells them apart, and servers do too.
    if (capitals != read_.method) Bad("method", "http.method must be in capitals: " + EscapeForTerminal(capitals));
  }

  void ReadHeaders(const Value& list) {
    size_t bytes = 0;
    if (list.items.size() > kMostHeaders)
      diagnostics_.Add(list.at, "http.headers has more than " + std::to_string(kMostHeaders) + " entries");
    for (const Value& item : list.items) {
      HeaderField header = ReadHeader(item);
      bytes += header.name.size() + header.value.size();
      if (ToLower(header.name) != "host") {
        read_.headers.push_back(std::move(header));
        continue;
      }
      if (header.secret.has_value() || !read_.host_header.empty())
        diagnostics_.Add(item.at, "http.headers: one Host header with a plain value, at most");
      // The value goes into the request as it is, so it has to be one that a URL could have.
      const auto host = ParseUrl("http://" + header.value + "/");
      if (!host.ok() || header.value.find_first_of("/?#") != std::string::npos)
        diagnostics_.Add(item.at, "http.headers: the value of Host must be a host, or host:port");
      read_.host_header = std::move(header.value);
    }
    if (bytes > kMostHeaderBytes)
      diagnostics_.Add(list.at, "http.headers has more than " + std::to_string(kMostHeaderBytes) + " bytes");
  }

  HeaderField ReadHeader(const Value& value) {
    HeaderField header;
    Fields fields(value, "http.headers", diagnostics_);
    header.name = fields.RequiredString("name");
    header.value = fields.String("value").value_or("");
    if (!header.name.empty() && !IsToken(header.name))
      diagnostics_.Add(fields.Any("name")->at, "http.headers: a header's name may have letters, digits and hyphens");
    if (std::find(kOwnHeaders.begin(), kOwnHeaders.end(), ToLower(header.name)) != kOwnHeaders.end())
      diagnostics_.Add(fields.Any("name")->at,
                       "http.headers: " + header.name + " is written by the client itself; remove it");
    if (!IsHeaderValue(header.value))
      diagnostics_.Add(fields.Any("value")->at, "http.headers: a control character in a header's value");
    if (const Value* from = fields.OfKind("valueFrom", Value::Kind::kObject)) {
      Fields inner(*from, "valueFrom", diagnostics_);
      if (const Value* reference = inner.OfKind("secretKeyRef", Value::Kind::kObject)) {
        header.secret = ReadSecretRef(*reference);
      } else if (inner.Any("secretKeyRef") == nullptr) {
        diagnostics_.Add(from->at, "valueFrom needs \"secretKeyRef\"");
      }
      inner.Done();
      if (!header.value.empty()) diagnostics_.Add(from->at, "http.headers: either value or valueFrom, not both");
    }
    fields.Done();
    return header;
  }

  SecretRef ReadSecretRef(const Value& value) {
    SecretRef reference;
    Fields fields(value, "secretKeyRef", diagnostics_);
    reference.name = fields.RequiredString("name");
    reference.key = fields.RequiredString("key");
    if (fields.Bool("optional").value_or(false))
      fields.Refuse("optional", "a request without the header would be another request; remove it");
    fields.Done();
    return reference;
  }

  void ReadBody() {
    const auto body = fields_.String("body");
    read_.body = body.value_or("");
    if (const Value* from = fields_.OfKind("bodyFrom", Value::Kind::kObject)) {
      Fields inner(*from, "bodyFrom", diagnostics_);
      const auto bytes = inner.String("bytes");
      const auto decoded = Base64Decode(bytes.value_or(""));
      if (!decoded.has_value()) diagnostics_.Add(inner.Any("bytes")->at, "bodyFrom.bytes must be base64, with padding");
      inner.Done();
      if (!read_.body.empty()) diagnostics_.Add(from->at, "either http.body or http.bodyFrom, not both");
      read_.body = decoded.value_or("");
    }
    if (read_.body.size() > kMostBodyBytes)
      diagnostics_.Add(fields_.at(), "the body has more than " + std::to_string(kMostBodyBytes) + " bytes");
  }

  void ReadCondition() {
    const auto source = fields_.String("successCondition");
    if (!source.has_value() || source->empty()) return;
    auto condition = Condition::Compile(*source);
    if (condition.ok()) {
      read_.success_condition = std::move(*condition);
    } else {
      Bad("successCondition", "http.successCondition: " + condition.error().message());
    }
  }

  Diagnostics& diagnostics_;
  Fields fields_;
  HttpTemplate read_;
};

}  // namespace

bool IsHeaderValue(std::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return c == '\t' || (static_cast<uint8_t>(c) >= 0x20 && c != 0x7F); });
}

HttpTemplate ReadHttpTemplate(const Value& http, Diagnostics& diagnostics) {
  return TemplateReader(http, diagnostics).Read();
}

}  // namespace bulkhead::http

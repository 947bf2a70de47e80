// The URL, address and template readers: what they admit reads the same when it is written out again.
#include "fuzz.h"
#include "runner/base/json.h"
#include "runner/http/egress.h"
#include "runner/http/template.h"
#include "runner/http/url.h"

using namespace bulkhead;

namespace {

void CheckUrl(const http::Url& url) {
  for (const char c : url.Authority() + url.Target())
    fuzz::Require(c > 0x20 && c < 0x7F && c != '\\' && c != '"', "a request line can have it");
  fuzz::Require(url.host.find_first_of("@/?#%") == std::string::npos, "the host is a host");
  fuzz::Require(url.address.has_value() == http::ParseAddress(url.host).has_value(), "an address is known as one");
  fuzz::Require(url.port != 0 && url.path.front() == '/', "it can be requested");
  const auto again = http::ParseUrl(std::string(url.scheme()) + "://" + url.Authority() + url.Target());
  fuzz::Require(again.ok() && again->host == url.host && again->port == url.port && again->Target() == url.Target(),
                "it reads the same again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::Text(data, size);
  if (const auto url = http::ParseUrl(text); url.ok()) CheckUrl(*url);
  const auto base = http::ParseUrl("https://h.example/a/b?c");
  if (const auto url = http::ResolveReference(*base, text); url.ok()) CheckUrl(*url);
  if (const auto range = http::ParseRange(text); range.ok())
    fuzz::Require(range->Contains(range->base), "a range holds its first address");
  if (const JsonParse parsed = ParseJson(text); parsed.ok) {
    Diagnostics diagnostics("fuzz");
    const http::HttpTemplate read = http::ReadHttpTemplate(parsed.value, diagnostics);
    if (diagnostics.empty()) {
      fuzz::Require(http::ParseUrl(read.url).ok(), "a template that is admitted has a URL");
      for (const http::HeaderField& field : read.headers)
        fuzz::Require(http::IsHeaderValue(field.value), "no header breaks its line");
    }
  }
  http::EgressPolicies policies;
  (void)policies.Load(text, "fuzz");
  return 0;
}

// One HTTP/1.1 request over a connection of its own to an address that was checked before.
//
// Our own client on the strict response parser of rpc, not a library: what is connected to is exactly the address
// that the egress policy admitted, while Host, SNI and the certificate's name stay those of the URL; and a response
// that two readers could see differently is refused. Nothing is kept alive, nothing is retried.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runner/base/clock.h"
#include "runner/base/result.h"
#include "runner/http/address.h"
#include "runner/http/condition.h"
#include "runner/http/proxy.h"
#include "runner/http/url.h"

namespace bulkhead::http {

struct Request {
  const Url* url = nullptr;
  std::string_view method;
  std::string_view host_header;  // empty: the URL's
  // Complete lines, each ended by CRLF, without those that the client writes: Host, User-Agent (unless given),
  // Accept-Encoding, Connection, Content-Length.
  std::string_view header_lines;
  std::string_view body;
  bool insecure_skip_verify = false;
  std::vector<IpAddress> addresses;  // tried in order; empty with a proxy
  std::optional<Proxy> proxy;
  size_t most_response_bytes = 0;
};

struct Response {
  int status = 0;
  HeaderList headers;
  std::string body;
  std::string address;  // what was connected to; the proxy's host with a proxy
};

// Thread-safe.
class Client {
 public:
  // `ca_folder`: every file in it is PEM certificates that are trusted beside the system's; it may be absent.
  explicit Client(std::string ca_folder) : ca_folder_(std::move(ca_folder)) {}

  // kUnavailable, kDeadlineExceeded, kPermissionDenied (the server's certificate), kResourceExhausted and
  // kInvalidInput (a response that is too large, or cannot be trusted), kCancelled. Messages name no more of the URL
  // than its host.
  Result<Response> Send(const Request& request, SteadyTime deadline);

  // Makes every Send that is under way, and each later one, return soon. Thread-safe.
  void Stop();

 private:
  class Socket;
  Result<Response> Exchange(const Request& request, SteadyTime deadline);

  const std::string ca_folder_;
  std::mutex mutex_;
  std::multiset<int> open_;  // descriptors in use, to be shut down by Stop(); guarded by mutex_
  bool stopped_ = false;     // guarded by mutex_
};

}  // namespace bulkhead::http

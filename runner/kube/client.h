// Client: requests to a Kubernetes API server over HTTPS, with every wait and size bounded.
//
// Not cpp-httplib: a watch is read as it comes, line by line with a bound on each, and every wait must end at once
// when the agent does; the stream and the strict parser that plugins are called with give both, and keep one
// reader of HTTP in the program.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runner/base/clock.h"
#include "runner/base/value.h"
#include "runner/kube/config.h"

namespace bulkhead::kube {

// What an answer means to the one who asked (kubernetes.io/docs/reference/using-api/api-concepts).
enum class Failure {
  kNone,          // 2xx
  kGone,          // 410: the resourceVersion is too old; list again
  kConflict,      // 409: the object has changed or exists already
  kThrottled,     // 429
  kServer,        // 5xx
  kUnauthorized,  // 401: the token is not (or no longer) good
  kForbidden,     // 403: a role is missing
  kNotFound,      // 404
  kTooLarge,      // 413, or etcd's own limit on an object
  kRejected,      // 400, 415, 422 and every other status: asking again will not help
  kTransport,     // no answer: not reached, cut off, timed out, not understood
  kStopped,       // Stop() was called
};

// What a request is about: makes the path, and the sentence about a missing role.
struct Resource {
  std::string group;  // empty: core
  std::string version;
  std::string plural;
  std::string name_space;
  std::string name;         // empty: the collection
  std::string subresource;  // empty: the object itself
};

struct Request {
  std::string verb;  // list, watch, get, create, update, patch: Kubernetes' words
  Resource resource;
  std::string query;         // without "?"
  std::string content_type;  // of the body; "application/json" when empty
  std::string body;
};

struct Answer {
  Failure failure = Failure::kTransport;
  int status = 0;
  std::string body;     // kNone; for a watch empty
  std::string message;  // otherwise: a sentence, with the server's own words escaped
  std::optional<std::chrono::nanoseconds> retry_after;

  bool ok() const { return failure == Failure::kNone; }
};

struct ClientOptions {
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);  // one request, connect to last byte
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);
  size_t max_body_bytes = 64U << 20U;  // a list
  size_t max_line_bytes = 8U << 20U;   // an event: etcd's objects are under 1.5 MiB, JSON may escape them
};

// Thread-safe.
class Client {
 public:
  explicit Client(ClusterConfig config, ClientOptions options = {});
  ~Client();

  // One request. A connection kept from before that turns out to be closed is replaced once, and a 401 makes the
  // token be read again once; nothing else is tried again here.
  Answer Call(const Request& request);

  // A watch: `on_line` gets each line of the answer until it returns false, the server ends the answer (kNone),
  // or `deadline`.
  Answer Watch(const Request& request, SteadyTime deadline, const std::function<bool(std::string_view)>& on_line);

  // Ends all requests, also those to come, with kStopped.
  void Stop();
  bool stopped() const;
  // Sleeps; false when Stop() was called before or meanwhile.
  bool Sleep(std::chrono::nanoseconds time) const;

  const std::string& name_space() const;
  // The bearer token as it is now, for whoever must mask it.
  Secret Token() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// All but RFC 3986's unreserved characters as %XX: for values of a query and segments of a path.
std::string PercentEncode(std::string_view text);

// Reads an object of the API server; keys that differ only by case are two.
Result<Value> ParseObject(std::string_view bytes);

// Growing, jittered pauses between attempts that failed. Not thread-safe.
class Backoff {
 public:
  Backoff(std::chrono::nanoseconds first, std::chrono::nanoseconds most) : first_(first), most_(most), next_(first) {}
  // The next pause: what the server asked for if it did, else double the last, each shortened by up to half.
  std::chrono::nanoseconds Next(const std::optional<std::chrono::nanoseconds>& retry_after = std::nullopt);
  void Reset() { next_ = first_; }

 private:
  const std::chrono::nanoseconds first_;
  const std::chrono::nanoseconds most_;
  std::chrono::nanoseconds next_;
};

}  // namespace bulkhead::kube

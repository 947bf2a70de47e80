// Connection: one client's socket, its TLS if there is any, and where it stands. Internal to the server.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "certs/server_context.h"
#include "runner/base/clock.h"
#include "runner/base/unique_fd.h"
#include "runner/gateway/http_server.h"
#include "runner/rpc/request_parser.h"

namespace bulkhead::gateway {

// Answers on their way from the handler's threads to the server's. Thread-safe.
class Mailbox {
 public:
  struct Letter {
    uint64_t connection = 0;
    uint64_t request = 0;
    HttpResponse response;
  };
  explicit Mailbox(int event_fd) : event_fd_(event_fd) {}

  void Put(Letter letter);
  std::vector<Letter> TakeAll();
  // The server is gone, and its descriptor with it.
  void Close();
  void Wake();

 private:
  void Ring() const;

  std::mutex mutex_;
  int event_fd_;                 // guarded by mutex_; -1 once closed
  std::vector<Letter> letters_;  // guarded by mutex_
};

// The requester's end of one request.
class PendingReply : public HttpReply {
 public:
  PendingReply(std::shared_ptr<Mailbox> mailbox, uint64_t connection, uint64_t request)
      : mailbox_(std::move(mailbox)), connection_(connection), request_(request) {}
  void Send(HttpResponse response) override;
  bool Abandoned() const override { return abandoned_.load(); }
  void Abandon() { abandoned_ = true; }

 private:
  const std::shared_ptr<Mailbox> mailbox_;
  const uint64_t connection_;
  const uint64_t request_;
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> sent_{false};
};

enum class Phase {
  kHandshake,
  kReading,    // a head, or the body that follows it, or nothing yet
  kHandling,   // the handler has the request
  kSending,    // an answer
  kLingering,  // what the client still sends is thrown away, so that it gets to read the answer
};

// Not thread-safe.
struct Connection {
  using Io = certs::ServerStream::Io;

  uint64_t id = 0;
  UniqueFd fd;
  std::optional<certs::ServerStream> tls;
  Peer peer;

  Phase phase = Phase::kReading;
  SteadyTime since;     // when it began to wait for an admitted request
  SteadyTime deadline;  // of the phase
  uint32_t events = 0;  // what epoll watches for
  bool again = false;   // there is work that no event will tell of

  std::unique_ptr<rpc::RequestParser> parser;
  bool admitted = false;
  uint64_t requests = 0;
  std::string input;    // what was read and not taken yet
  size_t reserved = 0;  // of the bytes that all bodies together may have
  bool half_closed = false;

  std::shared_ptr<PendingReply> reply;
  std::string output;
  size_t sent = 0;
  bool close_after = false;
  size_t thrown_away = 0;

  Io Read(char* buffer, size_t size, size_t& got);
  Io Write(std::string_view bytes, size_t& put);
  bool HasPending() const { return tls.has_value() && tls->HasPending(); }
};

// The bytes of an answer.
std::string Serialise(const HttpResponse& response, bool http_1_0, bool keep_alive, std::string_view date);
// RFC 9110, section 5.6.7.
std::string HttpDate(WallTime time);

}  // namespace bulkhead::gateway

// The server's one thread: waits for what can be read or written, for deadlines, and for answers. Internal to
// HttpServer: server_loop.cc has how connections come, wait and go, server_io.cc how requests come and answers go.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "runner/gateway/connection.h"
#include "runner/gateway/http_server.h"
#include "runner/gateway/worker_pool.h"

namespace bulkhead::gateway {

inline SteadyTime Now() {
  return std::chrono::steady_clock::now();
}

// All but Drain and Stop is of the server's own thread.
class HttpServer::Loop {
 public:
  Loop(std::vector<UniqueFd> listeners, ServerOptions options, HttpHandler& handler, Metrics& metrics, UniqueFd epoll,
       UniqueFd event);
  Status Watch();
  void Run();
  bool Drain(SteadyTime deadline);
  void Stop();

 private:
  const ServerLimits& limits() const { return options_.limits; }
  Status Control(int operation, int fd, uint32_t events, uint64_t id);
  void Count(std::string_view reason);
  int Timeout() const;

  // Connections come and go.
  void Accept(size_t listener);
  // A listener that stays readable would make this thread spin.
  void PauseAccepting();
  // Closes the connection that has waited longest without an admitted request.
  bool MakeRoom();
  void Add(UniqueFd fd, Peer peer);
  // The connection object ends here.
  void Close(Connection& connection);
  void Interest(Connection& connection, uint32_t events);
  void AwaitRequest(Connection& connection, std::chrono::nanoseconds patience);

  // Events.
  void OnEvent(Connection& connection, uint32_t events);
  // The client is waiting for its answer: all that can come is its end.
  void OnEventWhileHandling(Connection& connection, uint32_t events);
  void Advance(Connection& connection);
  // Connections with work that no event tells of: bytes that were read already.
  void Resume();
  void Expire();
  void TooLate(Connection& connection);
  void Handshake(Connection& connection);

  // A request comes.
  void ReadRequest(Connection& connection);
  // Feeds the parser; false when the connection went on to another phase, or is gone.
  bool TakeInput(Connection& connection);
  bool Admit(Connection& connection);
  void Dispatch(Connection& connection);

  // An answer goes.
  void TakeMail();
  void Answer(Connection& connection, const HttpResponse& response, bool keep);
  void SendOn(Connection& connection);
  void ThrowAway(Connection& connection);

  // The end.
  void StopTaking();

  const ServerOptions options_;
  HttpHandler& handler_;
  Metrics& metrics_;
  std::vector<UniqueFd> listeners_;
  const UniqueFd epoll_;
  const UniqueFd event_;
  const std::shared_ptr<Mailbox> mailbox_;

  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_id_;
  size_t reserved_ = 0;
  std::optional<SteadyTime> accept_pause_;

  std::atomic<size_t> handling_{0};  // requests that the handler has
  std::atomic<bool> draining_{false};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable quiet_;
  bool is_quiet_ = false;  // guarded by mutex_

  WorkerPool pool_;  // last: its jobs use what is above
};

}  // namespace bulkhead::gateway

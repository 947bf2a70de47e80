#include "runner/gateway/http_server.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

#include "runner/gateway/server_loop.h"

namespace bulkhead::gateway {

HttpServer::HttpServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)), thread_([this] { loop_->Run(); }) {}

HttpServer::~HttpServer() {
  loop_->Stop();
  thread_.join();
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(std::vector<UniqueFd> listeners, ServerOptions options,
                                                      HttpHandler& handler, Metrics& metrics) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return ErrnoError("epoll_create1", errno);
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return ErrnoError("eventfd", errno);
  auto loop = std::make_unique<Loop>(std::move(listeners), std::move(options), handler, metrics, std::move(epoll),
                                     std::move(event));
  BULKHEAD_TRY(loop->Watch());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(loop)));
}

bool HttpServer::Drain(SteadyTime deadline) {
  return loop_->Drain(deadline);
}

}  // namespace bulkhead::gateway

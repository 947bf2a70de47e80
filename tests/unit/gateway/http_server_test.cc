#include "runner/gateway/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <condition_variable>
#include <mutex>

#include "runner/gateway/listen.h"

namespace bulkhead::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Keeps requests until the test answers them; "/now" is answered at once, "/refused" is not admitted.
class Handler : public HttpHandler {
 public:
  std::optional<HttpResponse> Admit(const rpc::RequestHead& head, const Peer& peer) override {
    EXPECT_TRUE(peer.loopback);
    if (head.target == "/refused") return ErrorResponse(403, "no");
    return std::nullopt;
  }
  void Handle(HttpRequest request) override {
    if (request.head.target == "/now") return request.reply->Send(Echo(request));
    std::unique_lock lock(mutex_);
    requests_.push_back(std::move(request));
    came_.notify_all();
    // Holds its thread until the test lets go.
    went_.wait(lock, [&] { return released_; });
  }
  static HttpResponse Echo(const HttpRequest& request) {
    HttpResponse response;
    response.body = request.body + "!";
    return response;
  }
  HttpRequest Take() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(came_.wait_for(lock, seconds(20), [&] { return !requests_.empty(); }));
    HttpRequest request = std::move(requests_.front());
    requests_.erase(requests_.begin());
    return request;
  }
  void Release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    went_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_, went_;
  std::vector<HttpRequest> requests_;
  bool released_ = false;
};

class Client {
 public:
  explicit Client(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  void Send(std::string_view bytes) {
    EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void Post(const std::string& target, const std::string& body) {
    Send("POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body);
  }
  // Until `end` has come, or the stream has ended.
  std::string Until(std::string_view end) {
    while (got_.find(end) == std::string::npos) {
      char buffer[4096];
      pollfd waiting = {fd_.get(), POLLIN, 0};
      if (::poll(&waiting, 1, 20000) != 1) break;
      const ssize_t read = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (read <= 0) break;
      got_.append(buffer, static_cast<size_t>(read));
    }
    return std::exchange(got_, {});
  }
  std::string All() { return Until("\x01 nothing ends with this"); }
  void Close() { fd_.Reset(); }

 private:
  UniqueFd fd_;
  std::string got_;
};

class HttpServerTest : public testing::Test {
 protected:
  void Start(const ServerLimits& limits) {
    auto address = ParseListenAddress("127.0.0.1:0");
    ASSERT_TRUE(address.ok());
    auto fd = Listen(*address);
    ASSERT_TRUE(fd.ok());
    port_ = address->port;
    std::vector<UniqueFd> listeners;
    listeners.push_back(std::move(*fd));
    auto server = HttpServer::Start(std::move(listeners), {"test", limits, {}}, handler_, metrics_);
    ASSERT_TRUE(server.ok());
    server_ = std::move(*server);
  }
  void TearDown() override { handler_.Release(); }
  uint64_t Refused(const std::string& reason) {
    return metrics_.Get("bulkhead_http_refused_total", "server=\"test\",reason=\"" + reason + "\"");
  }

  Handler handler_;
  Metrics metrics_;
  uint16_t port_ = 0;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, WhoseAnswerIsLateIsToldToComeAgainAndTheRequestIsAbandoned) {
  ServerLimits limits;
  limits.answer = milliseconds(50);
  Start(limits);
  Client client(port_);
  client.Post("/slow", "a");
  HttpRequest request = handler_.Take();
  const std::string late = client.Until("ask again");
  EXPECT_NE(late.find("503 Service Unavailable"), std::string::npos) << late;
  EXPECT_NE(late.find("Retry-After: 1"), std::string::npos);
  EXPECT_TRUE(request.reply->Abandoned());
  // What comes now must not be taken for the answer to the next request.
  client.Post("/slow", "b");
  HttpRequest next = handler_.Take();
  request.reply->Send(Handler::Echo(request));
  next.reply->Send(Handler::Echo(next));
  const std::string answer = client.Until("!");
  EXPECT_NE(answer.find("\r\n\r\nb!"), std::string::npos) << answer;
}

TEST_F(HttpServerTest, AClientThatGoesAbandonsItsRequest) {
  Start({});
  Client client(port_);
  client.Post("/slow", "a");
  const HttpRequest request = handler_.Take();
  EXPECT_FALSE(request.reply->Abandoned());
  client.Close();
  for (int i = 0; i < 2000 && !request.reply->Abandoned(); ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_TRUE(request.reply->Abandoned());
  request.reply->Send({});
}

TEST_F(HttpServerTest, MoreRequestsThanThreadsAreRefused) {
  ServerLimits limits;
  limits.requests = 1;
  Start(limits);
  Client first(port_);
  first.Post("/slow", "a");
  HttpRequest request = handler_.Take();
  Client second(port_);
  second.Post("/now", "b");
  EXPECT_NE(second.Until("ask again").find("503"), std::string::npos);
  EXPECT_EQ(Refused("too-many-requests"), 1U);
  request.reply->Send(Handler::Echo(request));
  EXPECT_NE(first.Until("!").find("\r\n\r\na!"), std::string::npos);
}

TEST_F(HttpServerTest, MoreBytesThanAllBodiesMayHaveAreRefused) {
  ServerLimits limits;
  limits.body_bytes = 10;
  Start(limits);
  Client first(port_);
  first.Post("/slow", "12345678");
  HttpRequest request = handler_.Take();
  Client second(port_);
  second.Post("/now", "123");
  EXPECT_NE(second.All().find("503"), std::string::npos);
  EXPECT_EQ(Refused("too-many-bytes"), 1U);
  request.reply->Send(Handler::Echo(request));
  first.Until("!");
  Client third(port_);
  third.Post("/now", "123");
  EXPECT_NE(third.Until("!").find("200 OK"), std::string::npos) << "what was answered takes no room";
}

TEST_F(HttpServerTest, AConnectionEndsAfterItsRequests) {
  ServerLimits limits;
  limits.requests_per_connection = 3;
  Start(limits);
  Client client(port_);
  for (int i = 0; i < 4; ++i) client.Post("/now", std::to_string(i));
  const std::string answers = client.All();
  EXPECT_NE(answers.find("2!"), std::string::npos) << answers;
  EXPECT_EQ(answers.find("3!"), std::string::npos);
  EXPECT_NE(answers.find("Connection: close"), std::string::npos);
}

TEST_F(HttpServerTest, ABodyThatWasNotReadIsNoNextRequest) {
  Start({});
  Client client(port_);
  client.Post("/refused", "POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz");
  const std::string answer = client.All();
  EXPECT_NE(answer.find("403"), std::string::npos);
  EXPECT_EQ(answer.find("z!"), std::string::npos);
}

TEST_F(HttpServerTest, EveryStageHasItsDeadline) {
  ServerLimits limits;
  limits.head = milliseconds(60);
  limits.body = milliseconds(60);
  limits.idle = milliseconds(60);
  Start(limits);
  Client silent(port_);
  EXPECT_EQ(silent.All(), "");
  Client head(port_);
  head.Send("POST /now HT");
  EXPECT_NE(head.All().find("408"), std::string::npos);
  Client body(port_);
  body.Send("POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx");
  EXPECT_NE(body.All().find("408"), std::string::npos);
  Client idle(port_);
  idle.Post("/now", "a");
  EXPECT_NE(idle.All().find("a!"), std::string::npos) << "and then the idle connection ends";
}

TEST_F(HttpServerTest, DrainingAnswersWhatIsUnderWay) {
  Start({});
  Client idle(port_);
  idle.Post("/now", "a");
  idle.Until("!");
  Client busy(port_);
  busy.Post("/slow", "b");
  HttpRequest request = handler_.Take();
  EXPECT_FALSE(server_->Drain(std::chrono::steady_clock::now() + milliseconds(20)));
  EXPECT_EQ(idle.All(), "");
  request.reply->Send(Handler::Echo(request));
  EXPECT_NE(busy.All().find("b!"), std::string::npos);
  handler_.Release();
  EXPECT_TRUE(server_->Drain(std::chrono::steady_clock::now() + seconds(20)));
}

TEST_F(HttpServerTest, AnAnswerAfterTheServersEndIsDropped) {
  Start({});
  Client client(port_);
  client.Post("/slow", "a");
  HttpRequest request = handler_.Take();
  handler_.Release();
  server_.reset();
  EXPECT_TRUE(request.reply->Abandoned());
  request.reply->Send({});
}

}  // namespace
}  // namespace bulkhead::gateway

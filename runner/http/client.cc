#include "runner/http/client.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "certs/tls.h"
#include "runner/base/io.h"
#include "runner/base/net.h"
#include "runner/base/text.h"
#include "runner/rpc/response_parser.h"
#include "runner/rpc/stream.h"

namespace bulkhead::http {

namespace {

using rpc::ResponseParser;

constexpr size_t kMostHeadBytes = 64U << 10U;
constexpr size_t kMostCaBytes = 4U << 20U;
constexpr size_t kReadBuffer = 16U << 10U;
// One address that swallows packets must not use up the time of the next.
constexpr auto kConnectTimeout = std::chrono::seconds(10);

bool IsDone(const ResponseParser& parser) {
  return parser.state() == ResponseParser::State::kDone || parser.state() == ResponseParser::State::kFailed;
}

std::string Head(const Request& request) {
  const Url& url = *request.url;
  // A proxy that passes plain requests on needs to be told where to.
  const std::string target =
      request.proxy.has_value() && !url.tls ? "http://" + url.Authority() + url.Target() : url.Target();
  std::string head = std::string(request.method) + " " + target + " HTTP/1.1\r\nHost: ";
  head += request.host_header.empty() ? url.Authority() : std::string(request.host_header);
  head += "\r\n";
  head += request.header_lines;
  head += "Accept-Encoding: identity\r\nConnection: close\r\n";
  if (request.proxy.has_value() && !url.tls && !request.proxy->authorization.empty())
    head += "Proxy-Authorization: " + request.proxy->authorization + "\r\n";
  const bool expects_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (!request.body.empty() || expects_body) head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  head += "\r\n";
  return head;
}

Status ReadResponse(rpc::Stream& stream, SteadyTime deadline, ResponseParser& parser) {
  std::array<char, kReadBuffer> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by Read
  while (!IsDone(parser)) {
    BULKHEAD_ASSIGN(const size_t size, stream.Read(buffer.data(), buffer.size(), deadline));
    if (size == 0) parser.End();
    // What comes after the response is nobody's: the connection is not used again.
    parser.Feed({buffer.data(), size});
  }
  if (parser.state() == ResponseParser::State::kDone) return OkStatus();
  return Error(parser.ended_early() ? Code::kUnavailable : Code::kInvalidInput, parser.error());
}

// Asks the proxy for a tunnel. Read byte by byte: what follows its answer belongs to TLS.
Status OpenTunnel(rpc::Stream& stream, const Request& request, SteadyTime deadline) {
  const std::string authority = request.url->AuthorityWithPort();
  std::string head = "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n";
  if (!request.proxy->authorization.empty()) head += "Proxy-Authorization: " + request.proxy->authorization + "\r\n";
  BULKHEAD_TRY(stream.Write(head + "\r\n", deadline));
  ResponseParser parser({.head_bytes = kMostHeadBytes, .body_bytes = 0, .peer = "proxy", .no_body = true});
  while (!IsDone(parser)) {
    char byte = 0;
    BULKHEAD_ASSIGN(const size_t size, stream.Read(&byte, 1, deadline));
    if (size == 0) parser.End();
    parser.Feed({&byte, size});
  }
  if (parser.state() != ResponseParser::State::kDone) return Error(Code::kUnavailable, parser.error());
  if (parser.status() / 100 == 2) return OkStatus();
  return Error(Code::kUnavailable, "the proxy answered " + std::to_string(parser.status()) + " to CONNECT");
}

// The certificates of the mounted folder. Read for each connection: a mounted Secret changes in place.
Result<std::string> ReadAuthorities(const std::string& folder) {
  std::string pem;
  std::error_code error;
  if (folder.empty() || !std::filesystem::is_directory(folder, error)) return pem;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const bool hidden = entry.path().filename().string().starts_with('.');
    if (!hidden && entry.is_regular_file(error)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    BULKHEAD_ASSIGN(const std::string text, ReadFile(file, kMostCaBytes));
    pem += text + "\n";
  }
  return pem;
}

Result<certs::TlsContext> MakeContext(const Request& request, const std::string& ca_folder) {
  if (request.insecure_skip_verify) return certs::TlsContext::ForUnverifiedWebServer(request.url->host);
  certs::WebTrust trust;
  BULKHEAD_ASSIGN(trust.authorities, ReadAuthorities(ca_folder));
  trust.system_roots = true;
  return certs::TlsContext::ForWebServer(trust, request.url->host);
}

}  // namespace

// Registers a descriptor with the client for as long as it is in use.
class Client::Socket {
 public:
  explicit Socket(Client& client) : client_(client) {}
  ~Socket() { Replace(-1); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void Replace(int fd) {
    const std::lock_guard lock(client_.mutex_);
    if (fd_ >= 0) client_.open_.erase(client_.open_.find(fd_));
    fd_ = fd;
    if (fd_ < 0) return;
    client_.open_.insert(fd_);
    if (client_.stopped_) ::shutdown(fd_, SHUT_RDWR);
  }

 private:
  Client& client_;
  int fd_ = -1;
};

Result<Response> Client::Send(const Request& request, SteadyTime deadline) {
  auto response = Exchange(request, deadline);
  if (response.ok()) return response;
  const std::lock_guard lock(mutex_);
  if (stopped_) return Error(Code::kCancelled, "the agent is being stopped");
  return response;
}

void Client::Stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
}

Result<Response> Client::Exchange(const Request& request, SteadyTime deadline) {
  Response response;
  std::vector<std::string> places;
  for (const IpAddress& address : request.addresses) places.push_back(FormatAddress(address));
  if (request.proxy.has_value()) places = {request.proxy->url.host};
  const uint16_t port = request.proxy.has_value() ? request.proxy->url.port : request.url->port;

  Result<UniqueFd> connected = Error(Code::kUnavailable, request.url->host + " has no address");
  std::unique_ptr<rpc::Stream> stream;
  // Declared last, so that the descriptor is unregistered before it is closed: Stop() must not shut down another of
  // the same number.
  Socket socket(*this);
  for (const std::string& place : places) {
    const SteadyTime until = std::min(deadline, std::chrono::steady_clock::now() + kConnectTimeout);
    connected = ConnectTcp(place, port, until, [&socket](int fd) { socket.Replace(fd); });
    response.address = place;
    if (connected.ok()) break;
    socket.Replace(-1);
  }
  if (!connected.ok()) return connected.error().WithContext(response.address);

  if (!request.url->tls) {
    stream = rpc::OpenPlain(std::move(*connected));
  } else {
    if (request.proxy.has_value()) {
      UniqueFd copy(::fcntl(connected->get(), F_DUPFD_CLOEXEC, 0));
      if (!copy.valid()) return ErrnoError("dup", errno);
      const std::unique_ptr<rpc::Stream> plain = rpc::OpenPlain(std::move(copy));
      BULKHEAD_TRY(OpenTunnel(*plain, request, deadline));
    }
    BULKHEAD_ASSIGN(const certs::TlsContext context, MakeContext(request, ca_folder_));
    BULKHEAD_ASSIGN(stream, rpc::OpenTls(context, std::move(*connected), deadline));
  }
  ResponseParser parser({.head_bytes = kMostHeadBytes,
                         .body_bytes = request.most_response_bytes,
                         .peer = "server",
                         .no_body = request.method == "HEAD",
                         .skip_interim = true});
  std::string bytes = Head(request);
  bytes += request.body;
  // A server may answer, and close, before it has read the whole request: the answer counts.
  const Status sent = stream->Write(bytes, deadline);
  if (!sent.ok() && sent.error().code() != Code::kUnavailable) return sent.error();
  BULKHEAD_TRY(ReadResponse(*stream, deadline, parser));
  response.status = parser.status();
  response.headers = parser.headers();
  response.body = parser.TakeBody();
  return response;
}

}  // namespace bulkhead::http

#include "runner/gateway/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

namespace bulkhead::gateway {

namespace {

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Error";
  }
}

}  // namespace

void Mailbox::Put(Letter letter) {
  const std::lock_guard lock(mutex_);
  if (event_fd_ < 0) return;
  letters_.push_back(std::move(letter));
  if (letters_.size() == 1) Ring();
}

void Mailbox::Wake() {
  const std::lock_guard lock(mutex_);
  if (event_fd_ >= 0) Ring();
}

void Mailbox::Ring() const {
  const uint64_t one = 1;
  // It can fail only when the counter is full, and then the server is awake.
  [[maybe_unused]] const ssize_t put = ::write(event_fd_, &one, sizeof one);
}

std::vector<Mailbox::Letter> Mailbox::TakeAll() {
  const std::lock_guard lock(mutex_);
  return std::exchange(letters_, {});
}

void Mailbox::Close() {
  const std::lock_guard lock(mutex_);
  event_fd_ = -1;
  letters_.clear();
}

void PendingReply::Send(HttpResponse response) {
  if (!sent_.exchange(true)) mailbox_->Put({connection_, request_, std::move(response)});
}

Connection::Io Connection::Read(char* buffer, size_t size, size_t& got) {
  if (tls.has_value()) return tls->Read(buffer, size, got);
  for (;;) {
    const ssize_t read = ::recv(fd.get(), buffer, size, 0);
    got = read > 0 ? static_cast<size_t>(read) : 0;
    if (read > 0) return Io::kDone;
    if (read == 0) return Io::kEnd;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? Io::kWantRead : Io::kFailed;
  }
}

Connection::Io Connection::Write(std::string_view bytes, size_t& put) {
  if (tls.has_value()) return tls->Write(bytes, put);
  for (;;) {
    const ssize_t wrote = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    put = wrote > 0 ? static_cast<size_t>(wrote) : 0;
    if (wrote >= 0) return Io::kDone;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? Io::kWantWrite : Io::kFailed;
  }
}

std::string Serialise(const HttpResponse& response, bool http_1_0, bool keep_alive, std::string_view date) {
  std::string out;
  out.reserve(256 + response.body.size());
  out += http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ";
  out += std::to_string(response.status) + " ";
  out += ReasonPhrase(response.status);
  out += "\r\nDate: ";
  out += date;
  out += "\r\nContent-Type: ";
  out += response.content_type;
  out += "\r\nContent-Length: " + std::to_string(response.body.size());
  out += "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  if (!response.allow.empty()) out.append("Allow: ").append(response.allow).append("\r\n");
  if (response.status == 401) out += "WWW-Authenticate: Bearer\r\n";
  if (response.retry_after > 0) out += "Retry-After: " + std::to_string(response.retry_after) + "\r\n";
  if (!keep_alive) {
    out += "Connection: close\r\n";
  } else if (http_1_0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  out += response.body;
  return out;
}

std::string HttpDate(WallTime time) {
  const std::time_t seconds = WallTime::clock::to_time_t(time);
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 64> text = {};
  // Not by strftime: its names are the locale's.
  const std::string format = std::string(kDays[static_cast<size_t>(parts.tm_wday)]) + ", %d " +
                             kMonths[static_cast<size_t>(parts.tm_mon)] + " %Y %H:%M:%S GMT";
  const size_t size = std::strftime(text.data(), text.size(), format.c_str(), &parts);
  return {text.data(), size};
}

HttpResponse ErrorResponse(int status, std::string_view sentence) {
  HttpResponse response;
  response.status = status;
  response.body = std::string(sentence);
  response.content_type = "text/plain; charset=utf-8";
  if (status == 503) response.retry_after = 1;
  return response;
}

}  // namespace bulkhead::gateway

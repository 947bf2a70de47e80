// A program for images that hold nothing else: linked statically, made by tests/container/image.
//
//   argoexec ...            stands for Argo's own: says how it was called and exits with 7
//   plugin install FILE     copies itself, as an init container of a plugin does for the volume that the pod shares
//   plugin serve PORT       a plugin: each request gets the same reply, on a connection of its own
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr char kBody[] = R"({"node":{"phase":"Succeeded","message":"from the shared volume"}})";

int Install(const char* file) {
  const int from = ::open("/proc/self/exe", O_RDONLY);
  const int to = ::open(file, O_WRONLY | O_CREAT | O_EXCL, 0755);
  struct stat info = {};
  if (from < 0 || to < 0 || ::fstat(from, &info) != 0) return 1;
  return ::sendfile(to, from, nullptr, static_cast<size_t>(info.st_size)) == info.st_size ? 0 : 1;
}

// The length of the body that a head announces; -1 while the head is not whole.
long BodyOf(const std::string& request, size_t& head) {
  head = request.find("\r\n\r\n");
  if (head == std::string::npos) return -1;
  head += 4;
  const char* const field = ::strcasestr(request.c_str(), "content-length:");
  return field == nullptr ? 0 : std::atol(field + sizeof "content-length:" - 1);
}

void Answer(int connection) {
  std::string request;
  char chunk[4096];
  for (size_t head = 0;;) {
    const long body = BodyOf(request, head);
    if (body >= 0 && request.size() >= head + static_cast<size_t>(body)) break;
    const ssize_t got = ::read(connection, chunk, sizeof chunk);
    if (got <= 0) return;
    request.append(chunk, static_cast<size_t>(got));
  }
  const std::string reply =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " +
      std::to_string(sizeof kBody - 1) + "\r\n\r\n" + kBody;
  if (::write(connection, reply.data(), reply.size()) < 0) std::perror("write");
}

int Serve(const char* port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const int yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 16) != 0) {
    std::perror("listen");
    return 1;
  }
  for (;;) {
    const int connection = ::accept(listener, nullptr, nullptr);
    if (connection < 0) continue;
    Answer(connection);
    ::close(connection);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "install") == 0) return Install(argv[2]);
  if (argc == 3 && std::strcmp(argv[1], "serve") == 0) return Serve(argv[2]);
  char self[256] = {};
  if (::readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 1;
  std::printf("%s", self);
  for (int i = 1; i < argc; ++i) std::printf(" %s", argv[i]);
  std::printf("\n");
  return 7;
}

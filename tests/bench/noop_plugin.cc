// The plugin of the benchmark: cpp-httplib, kept-alive connections, one thread each, a fixed answer.
// Usage: noop_plugin PORT. Checks the token when there is one.
#include <httplib.h>

#include <cstdlib>
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  constexpr size_t kThreads = 32;
  constexpr size_t kMostBody = 1U << 20U;
  std::string expected;
  std::ifstream("/var/run/argo/token") >> expected;
  if (!expected.empty()) expected = "Bearer " + expected;

  httplib::Server server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_keep_alive_max_count(1U << 30U);
  server.set_keep_alive_timeout(60);
  server.set_read_timeout(60, 0);
  server.set_write_timeout(60, 0);
  server.set_payload_max_length(kMostBody);
  server.set_tcp_nodelay(true);
  server.Post("/api/v1/template.execute", [&](const httplib::Request& request, httplib::Response& response) {
    if (!expected.empty() && request.get_header_value("Authorization") != expected) {
      response.status = 403;
      return;
    }
    response.set_content(
        R"({"node":{"phase":"Succeeded","message":"done","outputs":{"parameters":[{"name":"answer","value":"42"}]}}})",
        "application/json");
  });
  return server.listen("0.0.0.0", std::atoi(argv[1])) ? 0 : 1;
}

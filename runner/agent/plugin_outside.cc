// The calls of plugins that somebody else runs: Argo's sidecars, and plugins elsewhere.
#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

#include "runner/agent/plugin_instance.h"
#include "runner/base/net.h"

namespace bulkhead::agent {

namespace {

// A socket that can be cut off from elsewhere for as long as this lives. By a descriptor of its own, so that it does
// not matter who closes the socket's first.
template <typename Instance>
class Cut {
 public:
  explicit Cut(Instance& instance) : instance_(instance) {}
  ~Cut() { Drop(); }
  Cut(const Cut&) = delete;
  Cut& operator=(const Cut&) = delete;
  void Watch(int fd) {
    Drop();
    const std::lock_guard lock(instance_.mutex);
    fd_.Reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    instance_.waiting.insert(fd_.get());
    if (instance_.stopping) ::shutdown(fd_.get(), SHUT_RDWR);
  }

 private:
  void Drop() {
    const std::lock_guard lock(instance_.mutex);
    instance_.waiting.erase(fd_.get());
    fd_.Reset();
  }

  Instance& instance_;
  UniqueFd fd_;
};

template <typename Instance>
class Cuttable : public rpc::Stream {
 public:
  Cuttable(std::unique_ptr<rpc::Stream> inner, std::unique_ptr<Cut<Instance>> cut)
      : inner_(std::move(inner)), cut_(std::move(cut)) {}
  Status Write(std::string_view bytes, SteadyTime deadline) override { return inner_->Write(bytes, deadline); }
  Result<size_t> Read(char* buffer, size_t size, SteadyTime deadline) override {
    return inner_->Read(buffer, size, deadline);
  }
  bool HasPending() override { return inner_->HasPending(); }
  int fd() const override { return inner_->fd(); }

 private:
  const std::unique_ptr<rpc::Stream> inner_;
  const std::unique_ptr<Cut<Instance>> cut_;
};

}  // namespace

std::shared_ptr<PluginHost::Instance> PluginHost::CallOutside() {
  auto instance = std::make_shared<Instance>();
  Instance* const raw = instance.get();
  const auto connect = [this, raw](SteadyTime deadline) -> Result<std::unique_ptr<rpc::Stream>> {
    const bool sidecar = config_.sidecar.has_value();
    auto cut = std::make_unique<Cut<Instance>>(*raw);
    BULKHEAD_ASSIGN(UniqueFd fd, ConnectTcp(sidecar ? config_.sidecar->host : config_.remote->host,
                                            sidecar ? config_.sidecar->port : config_.remote->port, deadline,
                                            [&cut](int opened) { cut->Watch(opened); }));
    std::unique_ptr<rpc::Stream> stream;
    if (sidecar) {
      BULKHEAD_ASSIGN(stream, rpc::OpenPlainLoopback(std::move(fd)));
    } else {
      SetKeepAlive(fd.get());
      BULKHEAD_ASSIGN(stream, rpc::OpenTls(raw->TrustOutside(*config_.remote->context), std::move(fd), deadline));
    }
    return std::unique_ptr<rpc::Stream>(std::make_unique<Cuttable<Instance>>(std::move(stream), std::move(cut)));
  };
  instance->client = std::make_unique<rpc::PluginClient>(name(), connect, Secret(config_.spec.token), options_.client);
  RecordStart(Value::Null());
  return instance;
}

}  // namespace bulkhead::agent

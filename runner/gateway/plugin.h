// Plugin: what the gateway knows of a plugin, whatever runs it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/agent/plugin_host.h"
#include "runner/gateway/lane.h"

namespace bulkhead::gateway {

// Thread-safe.
class Plugin {
 public:
  virtual ~Plugin() = default;
  virtual const std::string& name() const = 0;
  virtual std::string_view tier() const = 0;
  virtual std::string_view image_digest() const { return {}; }  // empty: not known
  virtual bool Serves(std::string_view method) const = 0;
  virtual std::optional<bool> Handles(const std::vector<std::string>& keys) const = 0;
  virtual agent::HostHealth Health() const = 0;
  // nullopt: it has as many calls as it may have, and as many wait as may.
  virtual std::optional<agent::HostCall> Call(std::string_view method, std::string_view body, SteadyTime deadline,
                                              rpc::Retry retry) = 0;
};

// A plugin in its compartment. `host` outlives it.
class HostedPlugin : public Plugin {
 public:
  HostedPlugin(agent::PluginHost& host, size_t calls_at_once) : host_(host), lane_(calls_at_once, 2 * calls_at_once) {}
  // The most threads that its calls can hold.
  static size_t Threads(size_t calls_at_once) { return 3 * calls_at_once; }

  const std::string& name() const override { return host_.name(); }
  std::string_view tier() const override { return host_.tier(); }
  std::string_view image_digest() const override { return host_.image_digest(); }
  bool Serves(std::string_view method) const override { return host_.Serves(method); }
  std::optional<bool> Handles(const std::vector<std::string>& keys) const override { return host_.Handles(keys); }
  agent::HostHealth Health() const override { return host_.Health(); }
  std::optional<agent::HostCall> Call(std::string_view method, std::string_view body, SteadyTime deadline,
                                      rpc::Retry retry) override;

 private:
  agent::PluginHost& host_;
  Lane lane_;
};

}  // namespace bulkhead::gateway

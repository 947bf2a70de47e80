#include "runner/gateway/plugin.h"

namespace bulkhead::gateway {

std::optional<agent::HostCall> HostedPlugin::Call(std::string_view method, std::string_view body, SteadyTime deadline,
                                                  rpc::Retry retry) {
  if (!lane_.Enter(deadline)) return std::nullopt;
  agent::HostCall call = host_.Call(method, body, deadline, {}, retry);
  lane_.Leave();
  return call;
}

}  // namespace bulkhead::gateway

#include "runner/agent/task.h"

namespace bulkhead::agent {

bool IsFulfilled(std::string_view phase) {
  return phase == "Succeeded" || phase == "Failed" || phase == "Error" || phase == "Skipped" || phase == "Omitted";
}

std::string_view LayerName(Layer layer) {
  switch (layer) {
    case Layer::kNone: return "";
    case Layer::kTask: return "task";
    case Layer::kSandbox: return "sandbox";
    case Layer::kRpc: return "rpc";
    case Layer::kDecode: return "decode";
    case Layer::kPolicy: return "policy";
    case Layer::kTimeout: return "timeout";
  }
  return "";
}

}  // namespace bulkhead::agent

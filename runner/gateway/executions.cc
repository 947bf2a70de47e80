#include "runner/gateway/executions.h"

#include <algorithm>
#include <utility>

namespace bulkhead::gateway {

struct Executions::Execution {
  std::string key;
  std::vector<std::shared_ptr<HttpReply>> waiting;  // guarded by Executions::mutex_

  bool Abandoned() const {
    return std::all_of(waiting.begin(), waiting.end(), [](const auto& reply) { return reply->Abandoned(); });
  }
};

std::shared_ptr<Executions::Execution> Executions::Enter(std::string_view key, std::shared_ptr<HttpReply> reply,
                                                         SteadyTime now) {
  std::optional<HttpResponse> kept;
  {
    const std::lock_guard lock(mutex_);
    kept = TakeKeptLocked(key, now);
    if (!kept.has_value()) {
      const auto [begin, end] = running_.equal_range(key);
      for (auto entry = begin; entry != end; ++entry) {
        if (!entry->second->Abandoned()) continue;
        entry->second->waiting.push_back(std::move(reply));
        return nullptr;
      }
      auto execution = std::make_shared<Execution>();
      execution->key = std::string(key);
      execution->waiting.push_back(std::move(reply));
      running_.emplace(execution->key, execution);
      return execution;
    }
  }
  reply->Send(std::move(*kept));
  return nullptr;
}

void Executions::Finish(const std::shared_ptr<Execution>& execution, const HttpResponse& response, SteadyTime now) {
  std::vector<std::shared_ptr<HttpReply>> waiting;
  {
    const std::lock_guard lock(mutex_);
    const auto [begin, end] = running_.equal_range(execution->key);
    const auto found = std::find_if(begin, end, [&](const auto& entry) { return entry.second == execution; });
    if (found != end) running_.erase(found);
    if (execution->Abandoned()) KeepLocked(execution->key, response, now);
    waiting.swap(execution->waiting);
  }
  // One that is half closed may still read.
  for (const auto& reply : waiting) reply->Send(response);
}

std::optional<HttpResponse> Executions::TakeKeptLocked(std::string_view key, SteadyTime now) {
  while (!kept_.empty() && kept_.front().until <= now) {
    kept_bytes_ -= kept_.front().response.body.size();
    kept_.pop_front();
  }
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.key == key; });
  if (found == kept_.end()) return std::nullopt;
  HttpResponse response = std::move(found->response);
  kept_bytes_ -= response.body.size();
  kept_.erase(found);
  return response;
}

void Executions::KeepLocked(std::string key, HttpResponse response, SteadyTime now) {
  if (response.status != 200) return;
  kept_bytes_ += response.body.size();
  kept_.push_back({std::move(key), std::move(response), now + limits_.keep});
  while (kept_.size() > limits_.kept || kept_bytes_ > limits_.kept_bytes) {
    kept_bytes_ -= kept_.front().response.body.size();
    kept_.pop_front();
  }
}

}  // namespace bulkhead::gateway

// The egress policies in force, replaced as a whole and together with the mutation policies of the same files.
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "policy/holder.h"
#include "runner/base/result.h"
#include "runner/http/egress.h"

namespace bulkhead::http {

// The companion of a policy::Holder; holds no policy, so that HTTP templates reach nothing, until the first Load.
class EgressHolder : public policy::Companion {
 public:
  EgressHolder();

  // Keep the pointer for the time of a task, so that all its redirects are judged by one set.
  std::shared_ptr<const EgressPolicies> Get() const;

  Result<std::function<void()>> Read(const std::vector<policy::PolicyText>& texts) override;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const EgressPolicies> policies_;  // guarded by mutex_; shared, as a task may outlast its replacement
};

}  // namespace bulkhead::http

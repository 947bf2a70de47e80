#include "runner/http/egress_holder.h"

#include <utility>

namespace bulkhead::http {

EgressHolder::EgressHolder() : policies_(std::make_shared<const EgressPolicies>()) {}

std::shared_ptr<const EgressPolicies> EgressHolder::Get() const {
  const std::lock_guard lock(mutex_);
  return policies_;
}

Result<std::function<void()>> EgressHolder::Read(const std::vector<policy::PolicyText>& texts) {
  BULKHEAD_ASSIGN(EgressPolicies read, LoadEgressPolicies(texts));
  return std::function<void()>([this, policies = std::make_shared<const EgressPolicies>(std::move(read))] {
    const std::lock_guard lock(mutex_);
    policies_ = policies;
  });
}

}  // namespace bulkhead::http

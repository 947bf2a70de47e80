#include "policy/holder.h"

namespace bulkhead::policy {

Holder::Holder(PolicySet first, std::vector<std::string> paths)
    : paths_(std::move(paths)), policies_(std::make_shared<const PolicySet>(std::move(first))) {}

std::shared_ptr<const PolicySet> Holder::Get() const {
  const std::lock_guard lock(mutex_);
  return policies_;
}

Reload Holder::Refresh() {
  // One at a time, so that an older reading can't replace a newer one; readers wait for none of it.
  const std::lock_guard refreshing(refreshing_);
  Result<PolicySet> loaded = LoadPolicies(paths_);
  Reload reload;
  const std::lock_guard lock(mutex_);
  if (!loaded.ok()) {
    reload.kind = Reload::Kind::kKept;
    reload.error = loaded.error().message();
    broken_ = reload.error;
  } else {
    broken_.reset();
    if (loaded->Digest() != policies_->Digest()) {
      reload.kind = Reload::Kind::kReplaced;
      policies_ = std::make_shared<const PolicySet>(std::move(*loaded));
    }
  }
  reload.digest = policies_->Digest();
  reload.policies = policies_->policies().size();
  return reload;
}

std::optional<std::string> Holder::Broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

}  // namespace bulkhead::policy

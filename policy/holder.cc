#include "policy/holder.h"

#include <utility>

namespace bulkhead::policy {

Holder::Holder(PolicySet first, std::vector<std::string> paths)
    : paths_(std::move(paths)), policies_(std::make_shared<const PolicySet>(std::move(first))) {}

std::shared_ptr<const PolicySet> Holder::Get() const {
  const std::lock_guard lock(mutex_);
  return policies_;
}

Reload Holder::Refresh() {
  const std::lock_guard refreshing(refreshing_);
  Reload reload;
  const std::shared_ptr<const PolicySet> before = Get();
  auto loaded = LoadPolicies(paths_);
  if (!loaded.ok()) {
    reload.kind = Reload::Kind::kKept;
    reload.error = loaded.error().message();
  } else if (loaded->Digest() != before->Digest()) {
    reload.kind = Reload::Kind::kReplaced;
  }
  const std::lock_guard lock(mutex_);
  if (reload.kind == Reload::Kind::kReplaced) policies_ = std::make_shared<const PolicySet>(std::move(*loaded));
  broken_ = reload.kind == Reload::Kind::kKept ? std::optional(reload.error) : std::nullopt;
  reload.digest = policies_->Digest();
  reload.policies = policies_->Names().size();
  return reload;
}

std::optional<std::string> Holder::Broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

}  // namespace bulkhead::policy

#include "policy/holder.h"

#include <utility>

#include "runner/base/text.h"

namespace bulkhead::policy {

namespace {

// Both kinds read the same files, and both tell of YAML that nobody can read.
std::string JoinErrors(const std::string& first, const std::string& second) {
  std::string all = first;
  for (const std::string& line : Split(second, '\n')) {
    if (("\n" + all + "\n").find("\n" + line + "\n") == std::string::npos) all += (all.empty() ? "" : "\n") + line;
  }
  return all;
}

}  // namespace

Holder::Holder(std::vector<std::string> paths, Companion* companion)
    : paths_(std::move(paths)), companion_(companion), policies_(std::make_shared<const PolicySet>()) {}

Result<std::unique_ptr<Holder>> Holder::Load(std::vector<std::string> paths, Companion* companion) {
  std::unique_ptr<Holder> holder(new Holder(std::move(paths), companion));
  BULKHEAD_ASSIGN(Reading reading, holder->Read());
  const std::lock_guard lock(holder->mutex_);
  holder->PutInForce(std::move(reading));
  return holder;
}

std::shared_ptr<const PolicySet> Holder::Get() const {
  const std::lock_guard lock(mutex_);
  return policies_;
}

Result<Holder::Reading> Holder::Read() const {
  BULKHEAD_ASSIGN(const std::vector<PolicyText> texts, ReadPolicyTexts(paths_));
  Result<PolicySet> policies = LoadPolicies(texts);
  std::string errors = policies.ok() ? "" : policies.error().message();
  std::function<void()> enforce;
  if (companion_ != nullptr) {
    Result<std::function<void()>> read = companion_->Read(texts);
    if (read.ok()) {
      enforce = std::move(*read);
    } else {
      errors = JoinErrors(errors, read.error().message());
    }
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, errors);
  return Reading{std::move(*policies), std::move(enforce)};
}

void Holder::PutInForce(Reading reading) {
  if (reading.enforce) reading.enforce();
  policies_ = std::make_shared<const PolicySet>(std::move(reading.policies));
}

Reload Holder::Refresh() {
  // One at a time, so that an older reading can't replace a newer one; readers wait for none of it.
  const std::lock_guard refreshing(refreshing_);
  Result<Reading> read = Read();
  Reload reload;
  const std::lock_guard lock(mutex_);
  if (!read.ok()) {
    reload.kind = Reload::Kind::kKept;
    reload.error = read.error().message();
    broken_ = reload.error;
  } else {
    broken_.reset();
    // The digest is of whole files, so it tells of changes to the companion's documents too.
    if (read->policies.Digest() != policies_->Digest()) {
      reload.kind = Reload::Kind::kReplaced;
      PutInForce(std::move(*read));
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

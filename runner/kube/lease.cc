#include "runner/kube/lease.h"

#include <utility>

#include "runner/base/text.h"

namespace bulkhead::kube {

namespace {

using SteadyClock = std::chrono::steady_clock;

std::string FieldOf(const Value* object, std::string_view key) {
  const Value* const value = object == nullptr ? nullptr : object->Find(key);
  return value == nullptr ? "" : value->text;
}

}  // namespace

std::string_view LeaseStateName(LeaseState state) {
  switch (state) {
    case LeaseState::kAsked: return "asked";
    case LeaseState::kStandingBy: return "standing by";
    case LeaseState::kHeld: return "held";
    case LeaseState::kLost: return "lost";
  }
  return "";
}

Lease::Lease(Client& client, const Logger& log, LeaseOptions options)
    : client_(client), log_(log), options_(std::move(options)) {}

Lease::~Lease() {
  Release();
}

Status Lease::Acquire() {
  bool told = false;
  for (;;) {
    const Turn turn = Try();
    if (turn == Turn::kHeld) break;
    if (turn == Turn::kOthers && !std::exchange(told, true)) {
      state_ = LeaseState::kStandingBy;
      if (options_.on_standing_by) options_.on_standing_by();
      const Value* const spec = object_->Find("spec");
      log_.Log(LogLevel::kInfo, "standing by: another agent holds the lease",
               {{"lease", options_.name}, {"holder", FieldOf(spec, "holderIdentity")}});
    }
    if (!client_.Sleep(options_.retry)) return Error(Code::kCancelled, "stopped while waiting for the lease");
  }
  log_.Log(LogLevel::kInfo, "the lease is held", {{"lease", options_.name}, {"identity", options_.identity}});
  state_ = LeaseState::kHeld;
  const std::lock_guard lock(mutex_);
  held_ = true;
  return OkStatus();
}

Lease::Turn Lease::Try() {
  const Resource resource = {"coordination.k8s.io", "v1", "leases", options_.name_space, options_.name, ""};
  const Answer got = client_.Call({"get", resource, "", "", ""});
  if (!got.ok() && got.failure != Failure::kNotFound) {
    log_.Log(LogLevel::kWarn, "the lease cannot be read", {{"reason", got.message}});
    return Turn::kFailed;
  }
  const WallTime now = std::chrono::system_clock::now();
  Answer written;
  if (got.failure == Failure::kNotFound) {
    Resource collection = resource;
    collection.name.clear();
    written = client_.Call({"create", collection, "", "", ToJson(Record(nullptr, now, false))});
  } else {
    auto object = ParseObject(got.body);
    if (!object.ok()) return Turn::kFailed;
    object_ = std::move(*object);
    const Value* const spec = object_->Find("spec");
    const std::string holder = FieldOf(spec, "holderIdentity");
    const std::string record = spec == nullptr ? "" : ToJson(*spec);
    if (record != seen_) {
      seen_ = record;
      seen_at_ = SteadyClock::now();
    }
    // The duration that the holder promised, which need not be ours.
    const Value* const duration = spec == nullptr ? nullptr : spec->Find("leaseDurationSeconds");
    auto lasts = options_.duration;
    if (duration != nullptr && duration->is_number() && duration->text.size() < 6)
      lasts = std::chrono::seconds(std::stoi(duration->text));
    if (!holder.empty() && holder != options_.identity && SteadyClock::now() - seen_at_ < lasts) return Turn::kOthers;
    written = client_.Call({"update", resource, "", "", ToJson(Record(&*object_, now, false))});
  }
  if (written.ok()) return Turn::kHeld;
  // A conflict: another one was quicker, or the answer to our own write was lost; the next look tells.
  if (written.failure != Failure::kConflict)
    log_.Log(LogLevel::kWarn, "the lease cannot be written", {{"reason", written.message}});
  return Turn::kFailed;
}

// The object to write: with the version it replaces, so that of two writers one conflicts.
Value Lease::Record(const Value* before, WallTime now, bool release) const {
  const Value* const old_spec = before == nullptr ? nullptr : before->Find("spec");
  const bool ours = FieldOf(old_spec, "holderIdentity") == options_.identity;
  const std::string time = FormatTimestamp(now);
  Value spec = Value::Object();
  spec.Set("holderIdentity", Value::String(release ? "" : options_.identity));
  spec.Set("leaseDurationSeconds", Value::Number(release ? 1 : options_.duration.count()));
  spec.Set("acquireTime", Value::String(ours ? FieldOf(old_spec, "acquireTime") : time));
  spec.Set("renewTime", Value::String(time));
  int64_t transitions = 0;
  if (const std::string text = FieldOf(old_spec, "leaseTransitions"); !text.empty() && text.size() < 10)
    transitions = std::stoll(text);
  spec.Set("leaseTransitions", Value::Number(transitions + (before == nullptr || ours ? 0 : 1)));
  Value metadata = Value::Object();
  metadata.Set("name", Value::String(options_.name));
  metadata.Set("namespace", Value::String(options_.name_space));
  if (before != nullptr)
    metadata.Set("resourceVersion", Value::String(FieldOf(before->Find("metadata"), "resourceVersion")));
  Value object = Value::Object();
  object.Set("apiVersion", Value::String("coordination.k8s.io/v1"));
  object.Set("kind", Value::String("Lease"));
  object.Set("metadata", std::move(metadata));
  object.Set("spec", std::move(spec));
  return object;
}

void Lease::Keep(std::function<void()> on_lost) {
  renewer_ = std::thread([this, on_lost = std::move(on_lost)] { Renew(on_lost); });
}

void Lease::Renew(const std::function<void()>& on_lost) {
  SteadyTime renewed = SteadyClock::now();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, options_.retry, [&] { return stopping_; })) return;
    }
    // Before the request: what the others see is not later than this.
    const SteadyTime begin = SteadyClock::now();
    const Turn turn = Try();
    if (turn == Turn::kHeld) {
      renewed = begin;
      continue;
    }
    // A next attempt has to begin in time.
    if (turn == Turn::kFailed && SteadyClock::now() + options_.retry - renewed < options_.renew_deadline) continue;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      held_ = false;
    }
    state_ = LeaseState::kLost;
    log_.Log(LogLevel::kError, "the lease is lost: everything that runs is ended", {{"lease", options_.name}});
    on_lost();
    return;
  }
}

void Lease::Release() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (renewer_.joinable()) renewer_.join();
  const std::lock_guard lock(mutex_);
  if (!std::exchange(held_, false)) return;
  const Resource resource = {"coordination.k8s.io", "v1", "leases", options_.name_space, options_.name, ""};
  const Answer got = client_.Call({"get", resource, "", "", ""});
  if (!got.ok()) return;  // it runs out by itself
  auto object = ParseObject(got.body);
  if (!object.ok() || FieldOf(object->Find("spec"), "holderIdentity") != options_.identity) return;
  client_.Call({"update", resource, "", "", ToJson(Record(&*object, std::chrono::system_clock::now(), true))});
}

}  // namespace bulkhead::kube

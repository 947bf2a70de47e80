#include "runner/sandbox/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "runner/sandbox/packet.h"

namespace bulkhead::sandbox {

namespace {

using SteadyClock = std::chrono::steady_clock;

// A plugin that floods its output is read this much in one interval; the rest waits in its own pipe.
constexpr size_t kOutputChunk = 64U << 10U;
constexpr size_t kMostPipe = 1U << 20U;  // pipe(7): what one without privilege can hold, unless the host says otherwise
constexpr auto kOutputInterval = std::chrono::milliseconds(10);
// How long a shim may take to end its compartment.
constexpr auto kKillPatience = std::chrono::seconds(3);
constexpr uint64_t kRoles = 8;

}  // namespace

struct Supervisor::Watched {
  std::shared_ptr<Compartment> compartment;
  uint64_t id = 0;
  std::array<bool, 2> paused = {};
  std::array<SteadyClock::time_point, 2> resume = {};
  bool shim_watched = false;
  bool reported = false;
};

Result<std::unique_ptr<Supervisor>> Supervisor::Create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll.valid() || !wake.valid()) return ErrnoError("epoll", errno);
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) return ErrnoError("epoll_ctl", errno);
  return std::unique_ptr<Supervisor>(new Supervisor(std::move(epoll), std::move(wake)));
}

Supervisor::Supervisor(UniqueFd epoll, UniqueFd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)), thread_([this] { Loop(); }) {}

Supervisor::~Supervisor() {
  stopping_ = true;
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

Status Supervisor::Watch(std::shared_ptr<Compartment> compartment) {
  for (UniqueFd& pipe : compartment->output) ::fcntl(pipe.get(), F_SETFL, O_NONBLOCK);
  // A shim that reads no more must not hold up who tells it something.
  ::fcntl(compartment->control.get(), F_SETFL, O_NONBLOCK);
  auto watched = std::make_unique<Watched>();
  Compartment& target = *compartment;
  watched->compartment = std::move(compartment);
  const std::lock_guard lock(mutex_);
  const uint64_t id = next_id_++;
  watched->id = id;
  const bool good = Add(target.control.get(), id, kControl) && Add(target.output[0].get(), id, kStdout) &&
                    Add(target.output[1].get(), id, kStderr) && Add(target.spawned_pidfd.get(), id, kSpawned);
  if (!good) return ErrnoError("epoll_ctl", errno);
  watched_.emplace(id, std::move(watched));
  return OkStatus();
}

void Supervisor::Kill(const std::shared_ptr<Compartment>& compartment) {
  {
    const std::lock_guard lock(compartment->mutex);
    if (compartment->cleaned || compartment->kill_asked) return;
    compartment->kill_asked = true;
    compartment->killed_at = SteadyClock::now();
  }
  // The thread reads what the shim said before, then ends it.
  ::shutdown(compartment->control.get(), SHUT_WR);
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

bool Supervisor::Add(int fd, uint64_t id, Role role) const {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = id * kRoles + role;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Supervisor::Remove(int fd) const {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Supervisor::Loop() {
  std::array<epoll_event, 64> events;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by epoll_wait
  while (!stopping_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), NextTimeout());
    for (int i = 0; i < count; ++i) {
      const uint64_t token = events[static_cast<size_t>(i)].data.u64;
      if (token == 0) {
        uint64_t ignored = 0;
        (void)!::read(wake_.get(), &ignored, sizeof ignored);
      } else {
        OnEvent(token);
      }
    }
    ForceLateOnes();
  }
}

// Until the next paused pipe may be read, or the next late compartment is ended by force.
int Supervisor::NextTimeout() {
  const std::lock_guard lock(mutex_);
  auto next = SteadyClock::time_point::max();
  for (const auto& [id, watched] : watched_) {
    for (size_t i = 0; i < 2; ++i) {
      if (watched->paused[i]) next = std::min(next, watched->resume[i]);
    }
    const std::lock_guard inner(watched->compartment->mutex);
    if (watched->compartment->kill_asked) next = std::min(next, watched->compartment->killed_at + kKillPatience);
  }
  if (next == SteadyClock::time_point::max()) return -1;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next - SteadyClock::now()).count() + 1;
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

void Supervisor::OnEvent(uint64_t token) {
  Watched* watched = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = watched_.find(token / kRoles);
    if (found == watched_.end()) return;  // it ended earlier in this round
    watched = found->second.get();
  }
  switch (static_cast<Role>(token % kRoles)) {
    case kControl: OnControl(*watched); break;
    case kStdout: OnOutput(*watched, 0, false); break;
    case kStderr: OnOutput(*watched, 1, false); break;
    case kSpawned: OnSpawned(*watched); break;
    case kShim: OnShim(*watched); break;
  }
  const Compartment& compartment = *watched->compartment;
  const bool over = compartment.spawned_reaped && (!compartment.shim_pidfd.valid() || compartment.shim_reaped);
  if (over) Finish(watched->id, *watched);
}

void Supervisor::OnControl(Watched& watched) {
  Compartment& compartment = *watched.compartment;
  std::array<char, 512> message;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by recvmsg
  for (;;) {
    UniqueFd passed;
    const ssize_t size = ReceivePacket(compartment.control.get(), message.data(), message.size(), MSG_DONTWAIT, passed);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      Remove(compartment.control.get());
      return;
    }
    compartment.OnMessage({message.data(), static_cast<size_t>(size)}, std::move(passed));
    if (compartment.shim_pidfd.valid() && !watched.shim_watched) {
      watched.shim_watched = Add(compartment.shim_pidfd.get(), watched.id, kShim);
    }
    if (compartment.alone && !watched.reported) Report(watched);
  }
}

// `last`: everything that wrote should be gone, and what is in the pipe is all there will be. Whoever still writes is
// not listened to for longer.
void Supervisor::OnOutput(Watched& watched, size_t stream, bool last) {
  UniqueFd& pipe = watched.compartment->output[stream];
  thread_local std::array<char, kOutputChunk> buffer;
  size_t taken = 0;
  const size_t most = last ? kMostPipe : kOutputChunk;
  while (pipe.valid() && taken < most) {
    const ssize_t size = ::read(pipe.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size <= 0) {
      if (!watched.paused[stream]) Remove(pipe.get());
      watched.paused[stream] = false;
      pipe.Reset();
      return;
    }
    taken += static_cast<size_t>(size);
    if (watched.compartment->callbacks.on_output) {
      watched.compartment->callbacks.on_output(stream == 0 ? Stream::kStdout : Stream::kStderr,
                                               {buffer.data(), static_cast<size_t>(size)});
    }
  }
  if (taken < kOutputChunk || last) return;
  Remove(pipe.get());
  watched.paused[stream] = true;
  watched.resume[stream] = SteadyClock::now() + kOutputInterval;
}

void Supervisor::OnSpawned(Watched& watched) {
  Compartment& compartment = *watched.compartment;
  // What it said before it ended, first of all who goes on in its place.
  OnControl(watched);
  siginfo_t info = {};
  if (::waitid(P_PIDFD, static_cast<id_t>(compartment.spawned_pidfd.get()), &info, WEXITED | WNOHANG) != 0 ||
      info.si_pid == 0)
    return;
  Remove(compartment.spawned_pidfd.get());
  compartment.spawned_reaped = true;
}

void Supervisor::OnShim(Watched& watched) {
  Compartment& compartment = *watched.compartment;
  OnControl(watched);
  siginfo_t info = {};
  if (::waitid(P_PIDFD, static_cast<id_t>(compartment.shim_pidfd.get()), &info, WEXITED | WNOHANG) != 0 ||
      info.si_pid == 0)
    return;
  Remove(compartment.shim_pidfd.get());
  compartment.shim_reaped = true;
}

void Supervisor::ForceLateOnes() {
  std::vector<Watched*> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, watched] : watched_) all.push_back(watched.get());
  }
  const auto now = SteadyClock::now();
  for (Watched* const watched : all) {
    for (size_t i = 0; i < 2; ++i) {
      if (!watched->paused[i] || watched->resume[i] > now) continue;
      watched->paused[i] = false;
      Add(watched->compartment->output[i].get(), watched->id, i == 0 ? kStdout : kStderr);
    }
    bool late = false;
    bool asked = false;
    {
      const std::lock_guard lock(watched->compartment->mutex);
      asked = watched->compartment->kill_asked;
      late = asked && now >= watched->compartment->killed_at + kKillPatience;
      if (late) watched->compartment->killed_at = now;
    }
    if (asked && watched->compartment->shim_pidfd.valid()) OnControl(*watched);
    if (asked) watched->compartment->Kill(late);
  }
}

void Supervisor::Report(Watched& watched) {
  Compartment& compartment = *watched.compartment;
  for (size_t i = 0; i < 2; ++i) {
    OnOutput(watched, i, true);
    watched.paused[i] = false;
    compartment.output[i].Reset();
  }
  ExitReport report;
  {
    const std::lock_guard lock(compartment.mutex);
    report = compartment.Conclude();
  }
  if (compartment.callbacks.on_exit) compartment.callbacks.on_exit(report);
  const std::lock_guard lock(compartment.mutex);
  compartment.report = report;
  compartment.changed.notify_all();
  watched.reported = true;
}

void Supervisor::Finish(uint64_t id, Watched& watched) {
  const std::shared_ptr<Compartment> compartment = watched.compartment;
  // In restricted nothing but the shim knows the plugin's processes; when it did not end them, the cgroup does.
  if (compartment->cgroup != nullptr) compartment->cgroup->KillAll();
  if (!watched.reported) Report(watched);
  Remove(compartment->control.get());
  {
    const std::lock_guard lock(mutex_);
    watched_.erase(id);
  }
  // After the report: nobody who waits for the end has to wait for this, only who destroys the process.
  compartment->mount_namespace.Reset();
  compartment->cgroup.reset();
  compartment->scratch.reset();
  const std::lock_guard lock(compartment->mutex);
  compartment->cleaned = true;
  compartment->changed.notify_all();
}

}  // namespace bulkhead::sandbox

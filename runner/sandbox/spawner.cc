#include "runner/sandbox/spawner.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "runner/base/io.h"
#include "runner/sandbox/packet.h"
#include "runner/sandbox/protocol.h"

namespace bulkhead::sandbox {

namespace {

// Over the descriptors that the actions below write to, so that none overwrites a source.
constexpr int kHighFd = 16;

Result<UniqueFd> MoveUp(UniqueFd fd) {
  UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kHighFd));
  if (!moved.valid()) return ErrnoError("fcntl", errno);
  return moved;
}

// The agent blocks and ignores signals for itself.
void ResetSignals(posix_spawnattr_t& attributes) {
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

int SpawnProgram(const std::string& path, int null, int orders, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  for (const int standard : {0, 1, 2}) posix_spawn_file_actions_adddup2(&actions, null, standard);
  posix_spawn_file_actions_adddup2(&actions, orders, kOrdersFd);
  ResetSignals(attributes);
  char name[] = "bulkhead-init";
  char* argv[] = {name, nullptr};
  char* env[] = {nullptr};
  const int error = ::posix_spawn(&pid, path.c_str(), &actions, &attributes, argv, env);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

bool SendOrder(int socket, const InitFds& fds) {
  const std::array<int, kMostInitFds> list = {fds.out, fds.err, fds.control, fds.plan, fds.supplies, fds.token};
  const size_t count = fds.token >= 0 ? kMostInitFds : kMostInitFds - 1;
  const char order = 0;
  return SendPacket(socket, &order, sizeof order, std::span(list).first(count));
}

// False when the other end is gone.
bool ReceiveAnswer(int socket, SpawnMessage& answer, UniqueFd& pidfd) {
  return ReceivePacket(socket, &answer, sizeof answer, 0, pidfd) == static_cast<ssize_t>(sizeof answer);
}

}  // namespace

Result<std::unique_ptr<Spawner>> Spawner::Create(std::string init_path) {
  std::unique_ptr<Spawner> spawner(new Spawner(std::move(init_path)));
  const std::lock_guard lock(spawner->mutex_);
  BULKHEAD_TRY(spawner->StartLocked());
  return spawner;
}

Spawner::~Spawner() {
  const std::lock_guard lock(mutex_);
  StopLocked();
}

Result<Spawned> Spawner::Spawn(const InitFds& fds, const std::function<void()>& meanwhile) {
  bool called = false;
  for (int attempt = 0;; ++attempt) {
    BULKHEAD_ASSIGN(const Ticket ticket, Order(fds));
    if (!std::exchange(called, true)) meanwhile();
    auto spawned = Collect(ticket);
    if (spawned.ok() || spawned.error().code() != Code::kUnavailable || attempt > 0) return spawned;
  }
}

// One that died is replaced.
Result<Spawner::Ticket> Spawner::Order(const InitFds& fds) {
  const std::lock_guard lock(mutex_);
  if (!socket_.valid() || !SendOrder(socket_.get(), fds)) {
    StopLocked();
    BULKHEAD_TRY(StartLocked());
    if (!SendOrder(socket_.get(), fds)) return Error(Code::kUnavailable, init_path_ + " takes no order");
  }
  return Ticket{run_, ordered_++};
}

Result<Spawned> Spawner::Collect(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  const auto gone = [&] { return Error(Code::kUnavailable, init_path_ + " does not answer"); };
  while (run_ == ticket.run && answered_ <= ticket.number) {
    Answer answer;
    if (!ReceiveAnswer(socket_.get(), answer.first, answer.second)) {
      StopLocked();
      return gone();
    }
    answers_.emplace(std::pair(run_, answered_++), std::move(answer));
  }
  auto answer = answers_.extract({ticket.run, ticket.number});
  if (answer.empty()) return gone();
  if (answer.mapped().first.error_number != 0)
    return ErrnoError("forking bulkhead-init", answer.mapped().first.error_number);
  return Spawned{answer.mapped().first.pid, std::move(answer.mapped().second)};
}

Status Spawner::StartLocked() {
  int ends[2] = {};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return ErrnoError("socketpair", errno);
  UniqueFd ours(ends[0]);
  BULKHEAD_ASSIGN(const UniqueFd theirs, MoveUp(UniqueFd(ends[1])));
  BULKHEAD_ASSIGN(UniqueFd null, OpenFile("/dev/null", O_RDWR));
  BULKHEAD_ASSIGN(null, MoveUp(std::move(null)));
  if (const int error = SpawnProgram(init_path_, null.get(), theirs.get(), pid_); error != 0)
    return ErrnoError("starting " + init_path_, error);
  socket_ = std::move(ours);
  ++run_;
  ordered_ = answered_ = 0;
  return OkStatus();
}

// It ends by itself when its socket does.
void Spawner::StopLocked() {
  ++run_;
  socket_.Reset();
  if (pid_ > 0) {
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pid_ = -1;
}

}  // namespace bulkhead::sandbox

#include "runner/cli/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <utility>

namespace bulkhead::cli {

namespace {

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

constexpr int kExitBySignal = 128;

}  // namespace

void BlockSignals() {
  const sigset_t set = Watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

SignalWatch::SignalWatch(std::function<void()> on_signal, std::function<void()> on_hangup) {
  const sigset_t set = Watched();
  signals_.Reset(::signalfd(-1, &set, SFD_CLOEXEC));
  stop_.Reset(::eventfd(0, EFD_CLOEXEC));
  thread_ = std::thread([this, on_signal = std::move(on_signal), on_hangup = std::move(on_hangup)] {
    std::array<pollfd, 2> waiting = {{{signals_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    for (bool first = true;;) {
      if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
      if (waiting[1].revents != 0) return;
      signalfd_siginfo info = {};
      if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
      if (info.ssi_signo == SIGHUP && on_hangup) {
        on_hangup();
        continue;
      }
      if (!std::exchange(first, false)) ::_exit(kExitBySignal + static_cast<int>(info.ssi_signo));
      on_signal();
    }
  });
}

SignalWatch::~SignalWatch() {
  const uint64_t one = 1;
  while (::write(stop_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
}

}  // namespace bulkhead::cli

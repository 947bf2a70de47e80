#include "runner/sandbox/shim/shim.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "certs/identity.h"
#include "runner/base/secret.h"
#include "runner/sandbox/init/init.h"
#include "runner/sandbox/packet.h"
#include "runner/sandbox/protocol.h"
#include "runner/sandbox/shim/processes.h"
#include "runner/sandbox/shim/relay.h"

namespace bulkhead::sandbox::shim {

namespace {

// Tokens of the loop's own descriptors; those of the relay are addresses and larger.
enum Token : uint64_t { kControl = 1, kReport, kListener, kSignal, kTick, kFirstAddress = 4096 };

// How often it is looked whether the plugin listens: soon at first, then patiently.
constexpr long kFirstLook = 1'000'000;  // nanoseconds
constexpr long kSlowestLook = 20'000'000;
// How often a restricted compartment without a cgroup is measured.
constexpr long kWatchPeriod = 100'000'000;
// So many events at once are load; so many rounds without are none.
constexpr int kBusyRound = 4;
constexpr int kCalmRounds = 256;

class Shim {
 public:
  Shim(const Plan& plan, pid_t plugin, UniqueFd report)
      : plan_(plan),
        plugin_(plugin),
        report_(std::move(report)),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        relay_(epoll_.get(), plan.serve_port) {}

  [[noreturn]] void Run() {
    LetGoOfOutput();
    WatchChildren();
    TakeAttestation();
    Harden();
    Watch(kControlFd, kControl);
    if (report_.valid()) Watch(report_.get(), kReport);
    if (listener_.valid()) Watch(listener_.get(), kListener);
    StartTicking();
    for (;;) Round();
  }

 private:
  // --- set-up -------------------------------------------------------------------------------------

  // The pipes are the plugin's: when it has closed them, they are at their end.
  void LetGoOfOutput() const {
    ::dup2(STDIN_FILENO, STDOUT_FILENO);
    ::dup2(STDIN_FILENO, STDERR_FILENO);
    ::close(kSuppliesFd);
    // Without a token that number may already be the shim's own.
    if (plan_.keep_token_fd) ::close(kTokenFd);
  }

  // SIGCHLD was blocked before the plugin's process was made.
  void WatchChildren() {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signals_.Reset(::signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC));
    if (!signals_.valid()) init::Fail(kControlFd, "signalfd", errno);
    Watch(signals_.get(), kSignal);
  }

  // Nothing is relayed for a plugin that has not proved its compartment.
  void TakeAttestation() {
    std::array<char, sizeof(FailureMessage)> message = {};
    UniqueFd passed;
    const ssize_t size = ReceivePacket(report_.get(), message.data(), message.size(), 0, passed);
    if (size == static_cast<ssize_t>(sizeof(AttestationMessage)) &&
        message[0] == static_cast<char>(Notice::kAttestation)) {
      listener_ = std::move(passed);
      if (listener_.valid() != plan_.filter_notifies)
        init::Fail(kControlFd, "the listener of the seccomp filter did not arrive", EPROTO);
      Tell(message.data(), static_cast<size_t>(size));
      return;
    }
    if (size == static_cast<ssize_t>(sizeof(FailureMessage))) {
      Tell(message.data(), static_cast<size_t>(size));
      End();
    }
    init::Fail(kControlFd, "the plugin's process ended while it was set up", 0);
  }

  // From here on this process needs little, and a hostile client or plugin that took it over gets little.
  void Harden() {
    if (plan_.switch_user) {
      const bool good = ::setgroups(0, nullptr) == 0 && ::setresgid(plan_.gid, plan_.gid, plan_.gid) == 0 &&
                        ::setresuid(plan_.uid, plan_.uid, plan_.uid) == 0;
      if (!good) init::Fail(kControlFd, "changing the shim's user", errno);
    }
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct none[2] = {};
    if (::syscall(SYS_capset, &header, none) != 0) init::Fail(kControlFd, "dropping the shim's capabilities", errno);
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (plan_.serve_port != 0) certs::InitTlsLibrary();
    sock_fprog program = {static_cast<unsigned short>(plan_.shim_filter.size() / sizeof(sock_filter)),
                          reinterpret_cast<sock_filter*>(const_cast<char*>(plan_.shim_filter.data()))};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
      init::Fail(kControlFd, "the shim's own seccomp filter", errno);
    }
  }

  void Watch(int fd, uint64_t token) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = token;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) init::Fail(kControlFd, "epoll_ctl", errno);
  }

  // --- the loop -----------------------------------------------------------------------------------

  void Round() {
    std::array<epoll_event, 64> events;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by epoll_wait
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (count < 0 && errno != EINTR) End();
    Yield(count);
    for (int i = 0; i < count; ++i) {
      const uint64_t token = events[static_cast<size_t>(i)].data.u64;
      switch (token) {
        case kControl: OnControl(); break;
        case kReport: OnReport(); break;
        case kListener: OnForbidden(events[static_cast<size_t>(i)].events); break;
        case kSignal: OnChild(); break;
        case kTick: OnTick(); break;
        default: relay_.OnEvent(token); break;
      }
    }
    relay_.Sweep();
  }

  // Under load a shim that does not preempt who runs finds several events when its turn comes (sched(7),
  // SCHED_BATCH), and there are fewer switches; otherwise an answer should not wait.
  void Yield(int events) {
    const bool busy = events >= kBusyRound;
    calm_rounds_ = busy ? 0 : calm_rounds_ + 1;
    if (busy == batch_ || (batch_ && calm_rounds_ < kCalmRounds)) return;
    batch_ = busy;
    const sched_param none = {};
    ::sched_setscheduler(0, batch_ ? SCHED_BATCH : SCHED_OTHER, &none);
  }

  void OnControl() {
    std::array<char, kLongestMessage> message;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by recvmsg
    for (;;) {
      UniqueFd passed;
      const ssize_t size = ReceivePacket(kControlFd, message.data(), message.size(), MSG_DONTWAIT, passed);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      // The launcher is gone, or wants the end.
      if (size <= 0) End();
      if (message[0] == static_cast<char>(Order::kConnection) && passed.valid()) relay_.Add(std::move(passed));
      if (message[0] == static_cast<char>(Order::kIdentity))
        TakeIdentity({message.data() + 1, static_cast<size_t>(size) - 1});
      Wipe(message.data(), static_cast<size_t>(size));
    }
  }

  void TakeIdentity(std::string_view bytes) {
    std::array<std::string, 4> parts;
    for (std::string& part : parts) {
      uint32_t size = 0;
      if (bytes.size() < sizeof size) return;
      std::memcpy(&size, bytes.data(), sizeof size);
      bytes.remove_prefix(sizeof size);
      if (size > bytes.size()) return;
      part.assign(bytes.substr(0, size));
      bytes.remove_prefix(size);
    }
    certs::Identity identity;
    identity.certificate_der = std::move(parts[0]);
    identity.private_key_der = Secret(std::move(parts[1]));
    identity.authority_der = std::move(parts[2]);
    auto context = certs::TlsContext::ForServer(identity, parts[3]);
    if (!context.ok()) init::Fail(kControlFd, "the shim's TLS identity: " + context.error().message(), 0);
    relay_.SetContext(std::move(*context));
  }

  // The plugin's process until exec: a failure, or the end of the socket when exec went well.
  void OnReport() {
    FailureMessage message;
    UniqueFd passed;
    const ssize_t size = ReceivePacket(report_.get(), &message, sizeof message, MSG_DONTWAIT, passed);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size == static_cast<ssize_t>(sizeof message)) {
      Tell(&message, sizeof message);
      End();
    }
    report_.Reset();
  }

  // A call that the filter does not list: reported by number, and the end of the compartment.
  void OnForbidden(uint32_t events) {
    // No process has the filter any more.
    if ((events & EPOLLHUP) != 0) return listener_.Reset();
    // The kernel may have grown the structure (seccomp_unotify(2)).
    alignas(seccomp_notif) std::array<char, 512> buffer = {};
    if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, buffer.data()) != 0) {
      if (errno == ENOENT || errno == EINTR) return;  // the process died before
      listener_.Reset();
      return;
    }
    seccomp_notif notification;
    std::memcpy(&notification, buffer.data(), sizeof notification);
    ForbiddenMessage message;
    message.call = notification.data.nr;
    Tell(&message, sizeof message);
    End();
  }

  void OnChild() {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) > 0) {
    }
    std::optional<int> end;
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
      if (pid == plugin_) end = status;
    }
    // Orphans become this process's children in both tiers.
    const bool alone = pid < 0 && errno == ECHILD;
    if (!end.has_value()) return;
    // A failure of exec may still lie in the socket.
    if (report_.valid()) OnReport();
    ExitMessage message;
    message.wait_status = *end;
    message.alone = alone ? 1 : 0;
    Tell(&message, sizeof message);
    End();
  }

  // --- readiness and the watch --------------------------------------------------------------------

  void StartTicking() {
    looking_ = plan_.serve_port != 0;
    if (!looking_ && !plan_.watch_memory) return;
    timer_.Reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!timer_.valid()) init::Fail(kControlFd, "timerfd_create", errno);
    Watch(timer_.get(), kTick);
    Arm(looking_ ? kFirstLook : kWatchPeriod);
  }

  void Arm(long nanoseconds) {
    period_ = nanoseconds;
    const itimerspec spec = {{0, 0}, {0, nanoseconds}};
    ::timerfd_settime(timer_.get(), 0, &spec, nullptr);
  }

  void OnTick() {
    uint64_t expirations = 0;
    if (::read(timer_.get(), &expirations, sizeof expirations) < 0) return;
    if (looking_ && Listens(plan_.serve_port, plan_.tier == Tier::kRestricted)) {
      looking_ = false;
      const auto notice = static_cast<uint8_t>(Notice::kReady);
      Tell(&notice, sizeof notice);
    }
    if (plan_.watch_memory) Enforce();
    if (looking_) {
      Arm(std::min(period_ * 2, kSlowestLook));
    } else if (plan_.watch_memory) {
      Arm(kWatchPeriod);
    }
  }

  void Enforce() {
    const std::vector<pid_t> processes = Descendants();
    // There is one at least until OnChild has heard of its end: /proc can't be read, so nothing can be bounded.
    if (processes.empty()) End();
    const Usage usage = Measure(processes);
    if (usage.resident_bytes <= plan_.limits.memory_bytes && usage.processes <= plan_.limits.pids) return;
    const auto notice = static_cast<uint8_t>(Notice::kOverLimit);
    Tell(&notice, sizeof notice);
    End();
  }

  // --- helpers ------------------------------------------------------------------------------------

  static void Tell(const void* bytes, size_t size) { SendPacket(kControlFd, bytes, size); }

  // strict: this is the first process of a pid namespace, and the kernel kills all others with it.
  [[noreturn]] void End() const {
    if (plan_.tier == Tier::kRestricted) KillDescendants();
    ::_exit(0);
  }

  const Plan& plan_;
  const pid_t plugin_;
  UniqueFd report_;
  UniqueFd epoll_;
  UniqueFd listener_;
  UniqueFd signals_;
  UniqueFd timer_;
  Relay relay_;
  bool looking_ = false;
  long period_ = 0;
  bool batch_ = false;
  int calm_rounds_ = 0;
};

}  // namespace

void Run(const Plan& plan, pid_t plugin, UniqueFd report) {
  Shim(plan, plugin, std::move(report)).Run();
}

}  // namespace bulkhead::sandbox::shim
